#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Put pictures, such as those of ``tools/test.py --show-dir``, on one sheet.

::

    python tools/test.py CONFIG CHECKPOINT --show-dir shown
    python tools/analysis_tools/picture_sheet.py shown/*/vis_data/vis_image \
        --number 3 --out sheet.jpg
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmskysense.datasets.conversion.files import atomic_path
from mmskysense.utils import plain_refusal

SUFFIXES = ('.png', '.jpg', '.jpeg')
_GAP = 6


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('pictures', nargs='+', help='files, or folders')
    parser.add_argument('--out', required=True, help='.jpg or .png')
    parser.add_argument('--number', type=int, default=4,
                        help='of a larger number take so many, evenly (4)')
    parser.add_argument('--columns', type=int, default=1)
    parser.add_argument('--width', type=int, default=960,
                        help='of the sheet in pixels (960)')
    parser.add_argument(
        '--crop', type=float, nargs=2, default=(0.0, 1.0),
        metavar=('FROM', 'TO'), help='part of each picture from left to '
        'right, 0 to 1: truth and prediction without the image, say')
    return parser.parse_args(argv)


def find_pictures(names: Sequence[str], number: int) -> list[Path]:
    """Files, those of folders in order of their names; evenly thinned.

    Raises:
        FileNotFoundError: A name is neither, or there is no picture.
    """
    found: list[Path] = []
    for name in map(Path, names):
        if name.is_dir():
            found += sorted(path for path in name.rglob('*')
                            if path.suffix.lower() in SUFFIXES)
        elif name.is_file():
            found.append(name)
        else:
            raise FileNotFoundError(f'{name}: expected a picture or a folder '
                                    'of pictures, found none')
    if not found:
        raise FileNotFoundError(f'{", ".join(names)}: expected pictures '
                                f'({", ".join(SUFFIXES)}), found none')
    places = np.linspace(0, len(found) - 1, min(number, len(found)))
    return [found[place] for place in places.round().astype(int)]


def make_sheet(paths: Sequence[Path], columns: int, width: int,
               crop: Sequence[float] = (0.0, 1.0)) -> Image.Image:
    """Pictures in rows of ``columns``, all of one width, on white.

    Args:
        paths: Files.
        columns: Pictures in a row.
        width: Of the sheet in pixels.
        crop: Part of each picture from left to right, fractions.

    Raises:
        ValueError: A file is no picture, or they do not fit the width.
    """
    side = (width - (columns - 1) * _GAP) // columns
    if side < 1:
        raise ValueError(f'--width {width}: too little for {columns} columns')
    scaled = []
    for path in paths:
        try:
            with Image.open(path) as whole:
                left, right = (round(part * whole.width) for part in crop)
                picture = whole.crop((left, 0, right, whole.height))
                height = max(1, round(picture.height * side / picture.width))
                scaled.append(picture.convert('RGB').resize(
                    (side, height), Image.Resampling.LANCZOS))
        except UnidentifiedImageError:
            raise ValueError(f'{path}: expected a picture, found something '
                             'else; take it out of the list') from None
    rows = [scaled[i:i + columns] for i in range(0, len(scaled), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    sheet = Image.new(
        'RGB', (width, sum(heights) + _GAP * (len(rows) - 1)), 'white')
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * (side + _GAP), top))
        top += height + _GAP
    return sheet


def main(argv: Sequence[str] | None = None) -> None:
    """Write the sheet."""
    args = parse_args(argv)
    with plain_refusal('picture_sheet.py'):
        for name in ('number', 'columns'):
            if getattr(args, name) < 1:
                raise ValueError(f'--{name} {getattr(args, name)}: expected '
                                 'at least 1')
        if not 0 <= args.crop[0] < args.crop[1] <= 1:
            raise ValueError(f'--crop {args.crop[0]:g} {args.crop[1]:g}: '
                             'expected 0 <= FROM < TO <= 1')
        if Path(args.out).suffix.lower() not in SUFFIXES:
            raise ValueError(f'--out {args.out}: expected a name that ends '
                             f'in {", ".join(SUFFIXES)}')
        paths = find_pictures(args.pictures, args.number)
        sheet = make_sheet(paths, args.columns, args.width, args.crop)
        with atomic_path(args.out) as partial:
            sheet.save(partial, quality=85, optimize=True)
    print(f'{args.out}: {len(paths)} pictures, {sheet.width} x '
          f'{sheet.height}')


if __name__ == '__main__':
    main()
