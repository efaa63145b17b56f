#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Check RESISC-45 and write seeded split lists; the images are linked.

ROOT holds one folder for each class::

    python tools/dataset_converters/resisc45.py downloads/NWPU-RESISC45 \
        --out data/resisc45
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.resisc45 import convert_resisc45
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '')
    parser.add_argument('--seed', type=int, default=0,
                        help='of the split lists (0)')
    args = parser.parse_args(argv)
    with plain_refusal('resisc45.py'):
        report, summary = convert_resisc45(**vars(args))
    print(f'{args.out}: {report}; lists {summary["splits"]}')


if __name__ == '__main__':
    main()
