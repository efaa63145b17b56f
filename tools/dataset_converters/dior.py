#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Check DIOR or DIOR-R; write COCO JSON, or DOTA's text files.

ROOT holds ``Annotations``, ``ImageSets/Main`` and ``JPEGImages-*``::

    python tools/dataset_converters/dior.py downloads/DIOR --out data/dior
    python tools/dataset_converters/dior.py downloads/DIOR \
        --boxes oriented --out data/dior_r
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.changed_objects import describe_changes
from mmskysense.datasets.conversion.dior import FOLDERS, convert_dior
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '')
    parser.add_argument('--boxes', choices=list(FOLDERS),
                        default='horizontal', help='DIOR or DIOR-R')
    args = parser.parse_args(argv)
    with plain_refusal('dior.py'):
        report, summary = convert_dior(**vars(args))
    print(f'{args.out}: {report}; {sum(summary["objects"].values())} objects,'
          f' {summary["without_objects"]} images without one' +
          describe_changes(summary['changed_objects'], args.out))


if __name__ == '__main__':
    main()
