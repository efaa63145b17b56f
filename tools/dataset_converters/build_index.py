# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Write the index of an archive of rasters or plain images.

Examples::

    python tools/dataset_converters/build_index.py data/archive \
        hr_rgb=aerial s2_l2a=sentinel2 s1_grd=sentinel1 \
        --label land_cover=labels
    python tools/dataset_converters/build_index.py data/eurosat hr_rgb=images \
        --list train=data/eurosat/train.txt --list val=data/eurosat/val.txt
"""

import argparse

from mmskysense.datasets.index_builder import index_tiles
from mmskysense.utils.command_line import plain_refusal


def _pairs(texts: list[str]) -> dict[str, str]:
    """Parse NAME=PATH arguments."""
    pairs = dict(text.split('=', 1) for text in texts if '=' in text)
    if len(pairs) != len(texts):
        raise ValueError('expected distinct NAME=PATH, found '
                         f'{" ".join(texts)}')
    return pairs


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Write index.json for an archive of rasters or images')
    parser.add_argument('root', help='folder of the archive')
    parser.add_argument(
        'sensors',
        nargs='+',
        metavar='SENSOR=FOLDER',
        help='sensor of the table and its folder in the archive')
    parser.add_argument(
        '--label',
        nargs='+',
        default=[],
        metavar='KEY=FOLDER',
        help='folders of label rasters, e.g. land_cover=labels')
    parser.add_argument(
        '--tile-pattern',
        help='regular expression whose first group is the tile, searched in '
        "the path within the sensor's folder (default: name without date)")
    parser.add_argument(
        '--list',
        action='append',
        default=[],
        dest='lists',
        metavar='SPLIT=FILE',
        help="text file with one path a line, relative to a sensor's folder "
        'or to ROOT; only listed files are indexed (repeat for more splits)')
    parser.add_argument(
        '--split', help="split of tiles whose path names none ('train')")
    parser.add_argument(
        '--no-check',
        action='store_true',
        help='do not open the files (dates from names only)')
    parser.add_argument('--out', help='index file (ROOT/index.json)')
    return parser.parse_args()


def main() -> None:
    """Write the index and say where it is."""
    args = parse_args()
    with plain_refusal('build_index.py'):
        path = index_tiles(
            args.root,
            _pairs(args.sensors),
            labels=_pairs(args.label),
            tile_pattern=args.tile_pattern,
            split=args.split,
            check=not args.no_check,
            output=args.out,
            lists=_pairs(args.lists))
    print(path)


if __name__ == '__main__':
    main()
