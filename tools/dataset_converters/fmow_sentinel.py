#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Check fMoW-Sentinel and write an index; the images stay where they are.

ROOT holds the unpacked archive ``fmow-sentinel`` and the lists
``train.csv``, ``val.csv`` and ``test_gt.csv``::

    python tools/dataset_converters/fmow_sentinel.py downloads/fmow \
        --out data/fmow_sentinel
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.fmow_sentinel import (
    SENSOR,
    convert_fmow_sentinel,
)
from mmskysense.datasets.conversion.scene_tiles import statistics_options
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was found."""
    parser = conversion_parser(__doc__ or '')
    args = parser.parse_args(argv)
    with plain_refusal('fmow_sentinel.py'):
        report, summary = convert_fmow_sentinel(**vars(args))
    for split, entry in summary['splits'].items():
        print(f'{split}: {entry["images"]} images of {entry["places"]} '
              f'places and {len(entry["classes"])} classes; {entry["empty"]} '
              'without a measured pixel left out; '
              f'{entry["other_grid"]} not in a series for their size')
    print(f'{args.out}: {report}')
    if summary['mean']:
        print('band statistics of the training images: --cfg-options '
              f'{statistics_options(summary, SENSOR)}')


if __name__ == '__main__':
    main()
