#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Cut ISPRS Potsdam into tiles.

ROOT holds the unpacked ``2_Ortho_RGB`` and ``5_Labels_all`` (or, with
``--no-boundary``, ``5_Labels_all_noBoundary``)::

    python tools/dataset_converters/potsdam.py downloads/Potsdam \
        --out data/potsdam
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.potsdam import convert_potsdam
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '', size=512, overlap=256)
    parser.add_argument(
        '--no-boundary', action='store_true',
        help='take the labels with eroded boundaries (black, ignored)')
    args = parser.parse_args(argv)
    with plain_refusal('potsdam.py'):
        print(f'{args.out}: {convert_potsdam(**vars(args))}')


if __name__ == '__main__':
    main()
