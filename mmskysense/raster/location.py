# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Where on Earth a raster lies."""

from __future__ import annotations

import math
from functools import lru_cache

from rasterio.crs import CRS
from rasterio.warp import transform

from .band_contract import Grid

_WGS84 = 'EPSG:4326'
_UNKNOWN = (math.nan, math.nan)


def centre_location(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of a raster's centre.

    Args:
        grid: Where its pixels lie.

    Returns:
        Degrees in WGS 84, longitude in -180..180 and latitude in -90..90;
        NaN twice for a raster without georeference or in a local system
        that has no place on Earth.
    """
    if grid.crs is None or not grid.has_transform:
        return _UNKNOWN
    left, bottom, right, top = grid.bounds
    return _to_degrees(grid.crs.to_wkt(), (left + right) / 2,
                       (bottom + top) / 2)


# Every date and every epoch asks for the same place again.
@lru_cache(maxsize=65536)
def _to_degrees(crs: str, x: float, y: float) -> tuple[float, float]:
    system = CRS.from_wkt(crs)
    if not (system.is_projected or system.is_geographic):
        return _UNKNOWN
    longitudes, latitudes = transform(system, _WGS84, [x], [y])
    longitude, latitude = longitudes[0], latitudes[0]
    if not (math.isfinite(longitude) and abs(latitude) <= 90):
        return _UNKNOWN
    return (longitude + 180) % 360 - 180, latitude


def check_location(where: str, location: object) -> tuple[float, float]:
    """Longitude and latitude that a person or a file gave.

    Args:
        where: What named them, for messages.
        location: Pair of numbers in degrees.

    Raises:
        ValueError: Not a pair, or out of range.
    """
    if isinstance(location, (list, tuple)) and len(location) == 2 and all(
            isinstance(value, (int, float)) for value in location):
        longitude, latitude = (float(value) for value in location)
        if -180 <= longitude <= 180 and -90 <= latitude <= 90:
            return longitude, latitude
    raise ValueError(
        f'{where}: expected "location": [longitude, latitude] in degrees '
        f'(-180..180, -90..90), found {location!r}')
