#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Cut LEVIR-CD into pairs of tiles, with an index.

ROOT holds ``train``, ``val`` and ``test``, each with ``A`` (earlier), ``B``
(later) and ``label``::

    python tools/dataset_converters/levir_cd.py downloads/levir-cd \
        --out data/levir_cd
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.levir_cd import convert_levir_cd
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '', size=256, overlap=0)
    args = parser.parse_args(argv)
    with plain_refusal('levir_cd.py'):
        report, summary = convert_levir_cd(**vars(args))
    print(f'{args.out}: {report}; {100 * summary["changed_share"]:.2f} % of '
          'the pixels changed')


if __name__ == '__main__':
    main()
