#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Write DynamicEarthNet's labels as class ids, and an index of its files.

ROOT holds the unpacked archives (Planet ``.../AREA/PF-SR``, ``sentinel1``,
``sentinel2``, ``labels``) and the split lists ``train.txt``, ``val.txt`` and
``test.txt``. Imagery stays where it is::

    python tools/dataset_converters/dynamicearthnet.py \
        downloads/dynamicearthnet --out data/dynamicearthnet
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.dynamicearthnet import (
    convert_dynamicearthnet,
)
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '')
    parser.add_argument(
        '--days', choices=('first', 'weekly', 'daily'), default='weekly',
        help='Planet images of each month: the first day, six days as in the '
        "authors' weekly setting, or all (default: weekly)")
    args = parser.parse_args(argv)
    with plain_refusal('dynamicearthnet.py'):
        print(f'{args.out}: {convert_dynamicearthnet(**vars(args))}')


if __name__ == '__main__':
    main()
