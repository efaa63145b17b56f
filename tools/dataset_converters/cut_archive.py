#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Cut an archive of large scenes into chips for pre-training.

ROOT is an archive with the ``index.json`` of ``build_index.py``; every
sensor, date and label raster of a tile is cut to the same ground. Size and
overlap are in pixels of its finest sensor::

    python tools/dataset_converters/build_index.py data/scenes hr_rgb=images
    python tools/dataset_converters/cut_archive.py data/scenes --size 128 \
        --out data/chips
    python tools/train.py CONFIG --cfg-options data_root=data/chips
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.archive_chips import cut_archive
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Cut and say what was written."""
    parser = conversion_parser(__doc__ or '', size=512, published=False)
    parser.add_argument(
        '--min-measured', type=float, default=0.1, metavar='FRACTION',
        help='leave chips out of which no raster measured this part (0.1)')
    args = parser.parse_args(argv)
    with plain_refusal('cut_archive.py'):
        report = cut_archive(**vars(args))
        records = [result.record for result in report.results.values()]
        chips = sum(len(record['entries']) for record in records)
        empty = sum(record['empty'] for record in records)
        print(f'{args.out}: {report}; {chips} chips in index.json, {empty} '
              'left out for lack of measured pixels')


if __name__ == '__main__':
    main()
