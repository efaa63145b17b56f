#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Write TreeSatAI-Time-Series as rasters by date, and an index.

ROOT holds, in any folders below, the aerial ``*.tif``, the series ``*.h5``,
``{train,val,test}_filenames.lst`` and the labels of 60 m::

    python tools/dataset_converters/treesatai.py downloads/TreeSatAI \
        --out data/treesatai
"""

from collections import Counter
from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.treesatai import convert_treesatai
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '')
    parser.add_argument(
        '--dates', type=int, default=12,
        help='at most so many dates of each satellite (12): the clearest of '
        'Sentinel-2, evenly spread ones of Sentinel-1')
    args = parser.parse_args(argv)
    with plain_refusal('treesatai.py'):
        report = convert_treesatai(**vars(args))
    splits = Counter(result.record['tile']['split']
                     for result in report.results.values())
    told = ', '.join(f'{count} {split}' for split, count in splits.items())
    print(f'{args.out}: {report}; {told} of the 50,381 sites of the archive')


if __name__ == '__main__':
    main()
