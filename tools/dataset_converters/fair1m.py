#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Cut FAIR1M into overlapping tiles with DOTA's text files.

ROOT holds ``train``, ``validation`` and ``test``, each with folders
``images`` and ``labelXml`` or ``labelXmls`` (none in ``test``)::

    python tools/dataset_converters/fair1m.py downloads/FAIR1M2.0 \
        --out data/fair1m
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.changed_objects import describe_changes
from mmskysense.datasets.conversion.fair1m import convert_fair1m
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '', size=1024, overlap=200)
    args = parser.parse_args(argv)
    with plain_refusal('fair1m.py'):
        report, summary = convert_fair1m(**vars(args))
    splits = ', '.join(
        f"{name} {split['images']} images in {split['tiles']} tiles with "
        f"{sum(split['objects'].values())} objects"
        for name, split in summary['splits'].items())
    print(f'{args.out}: {report}; {splits}' +
          describe_changes(summary['changed_objects'], args.out))


if __name__ == '__main__':
    main()
