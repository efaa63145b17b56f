# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The command line that all dataset converters share."""

from __future__ import annotations

import argparse
import os


def conversion_parser(description: str,
                      size: int | None = None,
                      overlap: int = 0,
                      published: bool = True) -> argparse.ArgumentParser:
    """Make a parser with the common arguments.

    Args:
        description: What the converter does; a module's docstring.
        size: Default tile size in pixels; None for a dataset that is not
            tiled.
        overlap: Default overlap of tiles in pixels.
        published: Whether it is a published dataset, whose counts are known,
            and not the user's own archive.

    Returns:
        Parser of ``root``, ``--out``, ``--workers``, ``--skip-bad``, if
        published ``--partial``, and if tiled ``--size`` and ``--overlap``.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'root', help='folder of the ' + ('download' if published else
                                         'archive'))
    parser.add_argument('--out', required=True, help='folder to write')
    parser.add_argument(
        '--workers', type=int, default=max(1, (os.cpu_count() or 2) - 1),
        help='processes (default: one less than cores)')
    parser.add_argument(
        '--skip-bad', action='store_true',
        help='leave damaged items out, list them in OUT/bad_items.txt')
    if published:
        parser.add_argument(
            '--partial', action='store_true',
            help='accept a part of the dataset, or other counts than '
            'published')
    if size is not None:
        parser.add_argument('--size', type=int, default=size,
                            help=f'tile size in pixels ({size})')
        parser.add_argument(
            '--overlap', type=int, default=overlap,
            help=f'pixels that neighbouring tiles share ({overlap})')
    return parser
