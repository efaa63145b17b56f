# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Options of the command line that say what is read, for every tool."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmskysense.raster.inputs.remote import DEFAULT_TIMEOUT

_NAMES = ('offset', 'nodata', 'dates', 'mask_clouds', 'area', 'area_layer',
          'like', 'crs', 'resolution', 'timeout')
#: Arguments of :func:`gather_inputs` that are options here, for messages.
INPUT_OPTIONS = ('bands', 'scale',
                 *(name for name in _NAMES if '_' not in name))


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`gather_inputs` to a tool's parser."""
    group = parser.add_argument_group(
        'what is read', 'a raster, a folder of bands, a Sentinel-2 product '
        '(.SAFE), a STAC item, or an address: docs/user_guides/inputs.md')
    group.add_argument(
        '--bands',
        help='names of all bands in file order, or the numbers of the '
        'sensor\'s bands, with commas: B02,B03,B04 or 4,3,2')
    group.add_argument(
        '--scale',
        help='file values times this are in the sensor\'s unit; "decibel" '
        'converts linear power')
    group.add_argument('--offset', type=float, help='added after --scale')
    group.add_argument(
        '--nodata', type=float, help='file value that means no measurement')
    group.add_argument(
        '--dates', metavar='FIRST/LAST',
        help='days of acquisition to keep, e.g. 2021-04-01/2021-09-30')
    group.add_argument(
        '--mask-clouds', action='store_true',
        help='clouds and their shadows count as not measured (Sentinel-2)')
    group.add_argument(
        '--area', metavar='FILE',
        help='GeoJSON or GeoPackage with polygons: only these are mapped')
    group.add_argument('--area-layer', metavar='NAME',
                       help='layer of --area, where there are several')
    group.add_argument(
        '--timeout', type=float, default=DEFAULT_TIMEOUT, metavar='SECONDS',
        help='without a byte from a server before giving up (default: '
        f'{DEFAULT_TIMEOUT:g})')
    group = parser.add_argument_group('grid of the output')
    group.add_argument('--like', metavar='RASTER',
                       help='the grid of this raster, to the pixel')
    group.add_argument('--crs', help='coordinate reference system, e.g. '
                       'EPSG:32632 (default: the input\'s)')
    group.add_argument('--resolution', type=float,
                       help='pixel size in units of the CRS')


def input_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for :func:`gather_inputs` from parsed options."""
    return dict({name: getattr(args, name) for name in _NAMES},
                bands=parse_bands(args.bands), scale=parse_scale(args.scale))


def split_rasters(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Several ``SENSOR=RASTER`` to a dict; empty for one plain raster.

    A sensor that is given more than once has a series, in order of time.

    Raises:
        ValueError: One of several is not of that form.
    """
    found: dict[str, list[str]] = {}
    for argument in arguments:
        sensor, equals, raster = argument.partition('=')
        if not equals or not sensor.isidentifier() or Path(argument).exists():
            if len(arguments) == 1:
                return {}
            raise ValueError(f'{argument}: expected SENSOR=RASTER, since '
                             f'{len(arguments)} rasters are given')
        found.setdefault(sensor, []).append(raster)
    return found


def split_raster(arguments: Sequence[str],
                 sensor: str | None) -> tuple[str, str | None]:
    """``SENSOR=RASTER`` or ``RASTER`` to raster and sensor."""
    if len(arguments) != 1:
        raise ValueError(f'expected one raster, found {len(arguments)}: the '
                         'config takes one sensor')
    before, equals, after = arguments[0].partition('=')
    # A path may hold an equals sign; a sensor name holds no separator.
    if not equals or not before.isidentifier() or Path(arguments[0]).exists():
        return arguments[0], sensor
    if sensor not in (None, before):
        raise ValueError(f'--sensor {sensor} contradicts {arguments[0]}')
    return after, before


def parse_bands(text: str | None) -> list[int] | list[str] | None:
    """``'4,3,2'`` to numbers, ``'B04,B03'`` to names."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(',')]
    if all(part.isdigit() for part in parts):
        return [int(part) for part in parts]
    return parts


def parse_scale(text: str | None) -> float | str | None:
    """``'decibel'``, or a number."""
    if text is None or text == 'decibel':
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--scale {text}: expected a number or 'decibel'"
                         ) from None
