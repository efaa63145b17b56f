#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Features of a raster: ``embed.py CONFIG CKPT RASTER --out FILE``."""

import argparse
from collections.abc import Sequence

from mmengine.config import DictAction

from mmskysense.apis import EmbeddingInferencer
from mmskysense.apis.input_arguments import (
    INPUT_OPTIONS,
    add_input_arguments,
    input_arguments,
    split_raster,
)
from mmskysense.raster import check_output
from mmskysense.utils import plain_refusal, tidy_termination


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Features of a raster of any size, as a GeoTIFF (a map '
        'at the encoder\'s stride) or as GeoParquet (one row a tile).')
    parser.add_argument('config', help='any config with a backbone')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'raster', metavar='RASTER', help='the raster, or SENSOR=RASTER; also '
        'a folder of bands, a Sentinel-2 product, a STAC item, an address')
    parser.add_argument('--out', required=True, metavar='FILE',
                        help='.tif or .parquet')
    parser.add_argument('--features', choices=['last', 'stages'],
                        default='last')
    parser.add_argument(
        '--components', default='3', metavar='N',
        help="principal components of a map (default: 3), or 'all' features")
    parser.add_argument('--dtype', choices=['float32', 'float16'],
                        default='float32', help='of a map')
    parser.add_argument('--window', type=int, metavar='PIXELS',
                        help='side of a window, or of a tile')
    parser.add_argument(
        '--overlap', type=float, default=0.5,
        help='share of a window of a map that its neighbour sees too '
        '(default: 0.5)')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--reading-threads', type=int, default=1, metavar='N')
    parser.add_argument('--device', help='cpu, cuda:0, ...')
    parser.add_argument('--amp', action='store_true',
                        help='run the network in bfloat16')
    parser.add_argument('--sensor', help='entry of the sensor table')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='overrides of the config as key=value')
    add_input_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Embed."""
    args = parse_args(argv)
    options_said = 'window', 'overlap', 'components', *INPUT_OPTIONS
    with tidy_termination(), plain_refusal('embed.py', options_said):
        raster, sensor = split_raster([args.raster], args.sensor)
        check_output(args.out, [raster])
        if args.components != 'all' and not args.components.isdigit():
            raise ValueError(f"--components {args.components}: expected a "
                             "number or 'all'")
        components = None if args.components == 'all' else \
            int(args.components)
        inferencer = EmbeddingInferencer(
            args.config, args.checkpoint, args.device, sensor, args.amp,
            args.cfg_options, features=args.features)
        inputs = inferencer.inputs(raster, **input_arguments(args))
        summary = inferencer.embed_raster(
            inputs, args.out, args.window, args.overlap, args.batch_size,
            components, args.dtype, args.reading_threads, progress=True)
    explained = '' if summary.explained is None else \
        f', {100 * summary.explained:.1f} % of the variance'
    size = ' x '.join(str(side) for side in reversed(summary.places))
    print(f'{summary.path}: {size} places, {summary.channels} features '
          f'each{explained}, {summary.seconds:.1f} s')


if __name__ == '__main__':
    main()
