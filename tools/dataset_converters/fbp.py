#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Cut Five-Billion-Pixels (Gaofen-2) into overlapping tiles.

ROOT holds ``Image__16bit_BGRNir`` (or, with ``--bits 8``,
``Image__8bit_NirRGB``) and ``Annotation__index``::

    python tools/dataset_converters/fbp.py downloads/FBP --out data/fbp

Prints the band statistics of the training tiles as options of
``tools/train.py``.
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.fbp import convert_fbp
from mmskysense.datasets.conversion.scene_tiles import statistics_options
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '', size=512, overlap=128)
    parser.add_argument('--bits', type=int, choices=(8, 16), default=16,
                        help='published version of the images (16)')
    args = parser.parse_args(argv)
    with plain_refusal('fbp.py'):
        report, summary = convert_fbp(**vars(args))
    print(f'{args.out}: {report}')
    print('--cfg-options', statistics_options(summary, 'gf2'))


if __name__ == '__main__':
    main()
