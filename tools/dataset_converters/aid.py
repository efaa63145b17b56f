#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Check AID and write seeded split lists; the images are linked.

ROOT holds one folder for each class::

    python tools/dataset_converters/aid.py downloads/AID --out data/aid
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.aid import convert_aid
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '')
    parser.add_argument('--seed', type=int, default=0,
                        help='of the split lists (0)')
    args = parser.parse_args(argv)
    with plain_refusal('aid.py'):
        report, summary = convert_aid(**vars(args))
    print(f'{args.out}: {report}; lists {summary["splits"]}')


if __name__ == '__main__':
    main()
