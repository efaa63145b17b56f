#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Stack AIR-PolSAR-Seg (Gaofen-3) into four-band images in decibel.

ROOT holds ``train_set`` and ``test_set``, each with ``*_HH.tiff``,
``*_HV.tiff``, ``*_VH.tiff``, ``*_VV.tiff`` and ``*_gt.png``::

    python tools/dataset_converters/air_polsar_seg.py \
        downloads/AIR-PolSAR-Seg --out data/air_polsar_seg

Prints the band statistics of the training patches as options of
``tools/train.py``.
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.air_polsar_seg import (
    convert_air_polsar_seg,
)
from mmskysense.datasets.conversion.scene_tiles import statistics_options
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    args = conversion_parser(__doc__ or '').parse_args(argv)
    with plain_refusal('air_polsar_seg.py'):
        report, summary = convert_air_polsar_seg(**vars(args))
    print(f'{args.out}: {report}')
    print('--cfg-options', statistics_options(summary, 'gf3_polsar'))


if __name__ == '__main__':
    main()
