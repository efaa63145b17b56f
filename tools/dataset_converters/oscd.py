#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Cut OSCD (Onera) into pairs of Sentinel-2 tiles, with an index.

ROOT holds the three unpacked archives, whose names end with ``Images``,
``Train Labels`` and ``Test Labels``::

    python tools/dataset_converters/oscd.py downloads/oscd --out data/oscd
"""

from collections.abc import Sequence

from mmskysense.datasets.conversion import conversion_parser
from mmskysense.datasets.conversion.oscd import SENSOR, convert_oscd
from mmskysense.datasets.conversion.scene_tiles import statistics_options
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Convert and say what was written."""
    parser = conversion_parser(__doc__ or '', size=96, overlap=0)
    args = parser.parse_args(argv)
    with plain_refusal('oscd.py'):
        report, summary = convert_oscd(**vars(args))
    print(f'{args.out}: {report}; {100 * summary["changed_share"]:.2f} % of '
          'the pixels changed\nband statistics of the training cities: '
          f'--cfg-options {statistics_options(summary, SENSOR)}')


if __name__ == '__main__':
    main()
