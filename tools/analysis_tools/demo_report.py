#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Write the report page of a finished demo run."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmskysense.demo.page import make_report
from mmskysense.utils import plain_refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', type=Path,
                        help='--work-dir of tools/demo.py')
    args = parser.parse_args(argv)
    with plain_refusal('demo_report.py'):
        print(make_report(args.work_dir))


if __name__ == '__main__':
    main()
