#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Cut iSAID into overlapping tiles.

ROOT holds ``train`` and ``val``, each with DOTA's images and iSAID's
``*_instance_color_RGB.png`` masks anywhere below::

    python tools/dataset_converters/isaid.py downloads/iSAID --out data/iSAID
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.isaid import convert_isaid
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '', size=896, overlap=384)
    args = parser.parse_args(argv)
    with plain_refusal('isaid.py'):
        print(f'{args.out}: {convert_isaid(**vars(args))}')


if __name__ == '__main__':
    main()
