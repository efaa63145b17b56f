#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Measure mean and deviation of each band over your rasters.

    python tools/analysis_tools/band_statistics.py FOLDER --sensor landsat8

Pixels without a measurement (nodata, masks, NaN) do not count. With
--sensor, bands and units are checked and put in the table's order, and the
result stands beside the table's. Prints lines for a config.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmskysense.raster.band_statistics import find_rasters, measure_bands
from mmskysense.sensors import get_sensor
from mmskysense.utils import plain_refusal


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rasters', nargs='+', help='files and folders')
    parser.add_argument('--pattern', help='names in folders, e.g. "*_SR.tif"')
    parser.add_argument('--sensor', help='name in the sensor table')
    parser.add_argument(
        '--bands', metavar='NAME,NAME,...',
        help='which band is which, where files do not say: names of all bands '
        'in file order, or 1-based numbers in the sensor\'s order')
    parser.add_argument(
        '--scale', help='file values times this are in the sensor\'s unit; '
        '"decibel" for linear power')
    parser.add_argument('--offset', type=float, help='added after --scale')
    parser.add_argument('--nodata', type=float,
                        help='value that means no measurement')
    parser.add_argument('--json', metavar='FILE', help='also write this')
    return parser.parse_args(argv)


def _reading(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the raster reader."""
    bands: list[str | int] | None = None
    if args.bands:
        names = [name.strip() for name in args.bands.split(',')]
        numbers = all(name.isdigit() for name in names)
        bands = [int(name) for name in names] if numbers else [*names]
    scale = args.scale
    if scale is not None and scale != 'decibel':
        scale = float(scale)
    return dict(sensor=args.sensor and get_sensor(args.sensor), bands=bands,
                scale=scale, offset=args.offset, nodata=args.nodata)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print what a config takes."""
    args = parse_args(argv)
    with plain_refusal('band_statistics.py',
                       ('bands', 'scale', 'offset', 'nodata', 'sensor')):
        reading = _reading(args)
        files = find_rasters(args.rasters, args.pattern)
        result = measure_bands(files, **reading).to_dict()
        sensor = reading['sensor']
        names = sensor.band_names if sensor else tuple(
            f'band {number}' for number in range(1, len(result['mean']) + 1))
        result.update(sensor=args.sensor, bands=names, files=len(files))
        if args.json:
            aside = f'{args.json}.part'
            Path(aside).write_text(json.dumps(result, indent=1))
            os.replace(aside, args.json)
    print(f"{len(files)} rasters, {result['pixels']} measured pixels")
    for index, name in enumerate(names):
        line = (f"{name:>10}  mean {result['mean'][index]:.6g}  std "
                f"{result['std'][index]:.6g}  from {result['min'][index]:.6g}"
                f" to {result['max'][index]:.6g}")
        if sensor:
            line += (f'  (table: {sensor.mean[index]:.6g}, '
                     f'{sensor.std[index]:.6g})')
        print(line)
    print(f"mean={tuple(result['mean'])},\nstd={tuple(result['std'])},")


if __name__ == '__main__':
    main()
