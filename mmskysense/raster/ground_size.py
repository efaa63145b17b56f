# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pixel sizes in metres, whatever the unit of the coordinates."""

from __future__ import annotations

import math
from typing import Any

from rasterio.crs import CRS
from rasterio.warp import transform

# Mean Earth radius (IUGG), for degrees.
_METRES_PER_DEGREE = math.pi / 180 * 6371008.8


def metres_per_unit(crs: Any, x: float, y: float) -> tuple[float, float]:
    """Metres on the ground for one unit of a CRS, at a place.

    Args:
        crs: rasterio CRS, or None: 1 (the unit is not known).
        x: Place in CRS coordinates.
        y: Place in CRS coordinates.

    Returns:
        Along x and y. Degrees by the mean Earth radius (0.6 % off at worst);
        feet by the CRS's own factor; Web Mercator's stretch is undone.
    """
    if crs is None:
        return 1.0, 1.0
    system = CRS.from_user_input(crs)
    if system.is_geographic:
        narrow = math.cos(math.radians(max(-89.9, min(89.9, y))))
        return _METRES_PER_DEGREE * narrow, _METRES_PER_DEGREE
    factor = float(system.linear_units_factor[1])
    if system.to_epsg() == 3857:
        latitude = transform(system, 'EPSG:4326', [x], [y])[1][0]
        factor *= math.cos(math.radians(latitude))
    return factor, factor


def pixel_metres(dataset: Any) -> float:
    """Side of a raster's pixels in metres, the geometric mean of the two.

    Args:
        dataset: Open rasterio dataset.

    Returns:
        Metres; pixels of a raster without georeference count as 1.
    """
    affine = dataset.transform
    x, y = affine * (dataset.width / 2, dataset.height / 2)
    along_x, along_y = metres_per_unit(dataset.crs, x, y)
    # Columns of the affine as ground vectors; the area handles rotation.
    area = abs(affine.a * affine.e - affine.b * affine.d) * along_x * along_y
    return math.sqrt(area)
