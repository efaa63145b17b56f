#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Write BigEarthNet as one raster a sensor, and an index a split.

ROOT holds the unpacked archives (``BigEarthNet-v1.0`` and, for the
multi-modal set, ``BigEarthNet-S1-v1.0``) and the lists of the splits,
``train.csv``, ``val.csv`` and ``test.csv``::

    python tools/dataset_converters/bigearthnet.py downloads/bigearthnet \
        --out data/bigearthnet --sensors s2_l2a s1_grd

Of version 2 it holds ``metadata.parquet``, ``BigEarthNet-S2`` and
``BigEarthNet-S1``.
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.bigearthnet import (
    PATCHES,
    convert_bigearthnet,
)
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '')
    parser.add_argument('--sensors', nargs='+', default=['s2_l2a'],
                        choices=tuple(PATCHES),
                        help='Sentinel-2, and Sentinel-1 for the multi-modal '
                        'set')
    parser.add_argument('--splits', help='folder of the split lists or of '
                        'metadata.parquet, if it is not ROOT')
    args = parser.parse_args(argv)
    with plain_refusal('bigearthnet.py'):
        report, summary = convert_bigearthnet(**vars(args))
    counts = ', '.join(f'{entry["patches"]} {split}'
                       for split, entry in summary['splits'].items())
    print(f'{args.out}: {report}; patches: {counts}')


if __name__ == '__main__':
    main()
