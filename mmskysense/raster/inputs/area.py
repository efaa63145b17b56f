# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""An area of interest: the part of a raster that a person asks about."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from rasterio.warp import transform as transform_coordinates

from mmskysense.utils import require

from ..band_contract import RasterContractError

# Edges are cut into pieces before they are reprojected, since a straight
# line in one system is a curve in another (ours).
_PIECES = 64
# A polygon in degrees that is wider than half the globe more likely crosses
# the antimeridian with its longitudes wrapped.
_HALF_GLOBE = 180.0


@dataclass(frozen=True)
class AreaOfInterest:
    """Polygons with their coordinate reference system.

    Args:
        path: File they came from, for messages.
        geometry: Shapely polygon or multi-polygon, valid, without height.
        crs: rasterio CRS.
    """

    path: str
    geometry: Any
    crs: Any

    def on_grid(self, path: str, crs: Any, transform: Any,
                shape: tuple[int, int]) -> AreaOnGrid:
        """The area in the pixels of a raster.

        Args:
            path: The raster, for messages.
            crs: Its rasterio CRS.
            transform: Affine from (column, row) to coordinates.
            shape: Height and width in pixels.

        Raises:
            RasterContractError: The raster is not georeferenced, the area
                has no place in its CRS, or lies outside.
        """
        if crs is None or transform is None or transform.is_identity:
            raise RasterContractError(
                f'{path}: an area of interest needs a raster with CRS and '
                f'geotransform, found {"no CRS" if crs is None else crs} and '
                f'{"no geotransform" if _is_plain(transform) else "one"}; '
                'georeference it (gdal_translate -a_srs -a_ullr), or leave '
                'the area out')
        here = _in_crs(self, CRS.from_user_input(crs))
        height, width = shape
        bounds = _raster_bounds(transform, shape)
        if CRS.from_user_input(crs).is_geographic:
            here = _turns(here, bounds)
        pixels = _affine(here, ~transform)
        left, top, right, bottom = pixels.bounds
        row, column = max(math.floor(top), 0), max(math.floor(left), 0)
        end_row = min(math.ceil(bottom), height)
        end_column = min(math.ceil(right), width)
        placed = AreaOnGrid(pixels, (row, column, end_row - row,
                                     end_column - column))
        if end_row <= row or end_column <= column or not placed.touches:
            raise RasterContractError(
                f'{self.path}: expected an area inside {path} '
                f'{_rounded(bounds)}, found {_rounded(here.bounds)} (left, '
                f'bottom, right, top in {crs}); choose another area or '
                'raster')
        return placed


@dataclass(frozen=True)
class AreaOnGrid:
    """An area in pixel coordinates of one raster.

    Args:
        geometry: Shapely geometry, x = column, y = row.
        window: Row, column, height and width of the part of the raster that
            holds it.
    """

    geometry: Any
    window: tuple[int, int, int, int]

    def mask(self, row: int, column: int, height: int,
             width: int) -> np.ndarray:
        """Pixels of a window that the area touches.

        Args:
            row: First row of the window in the raster.
            column: First column.
            height: Rows.
            width: Columns.

        Returns:
            bool (height, width), True inside; pixels that the border crosses
            count as inside.
        """
        from shapely.geometry import box, mapping
        frame = box(column, row, column + width, row + height)
        if not self.geometry.intersects(frame):
            return np.zeros((height, width), dtype=bool)
        if self.geometry.covers(frame):
            return np.ones((height, width), dtype=bool)
        return geometry_mask(
            [mapping(self.geometry.intersection(frame))], (height, width),
            Affine.translation(column, row), all_touched=True, invert=True)

    @property
    def touches(self) -> bool:
        """Whether any pixel of the window lies inside."""
        from shapely.geometry import box
        row, column, height, width = self.window
        frame = box(column, row, column + width, row + height)
        return bool(self.geometry.intersection(frame).area > 0)


def read_area(path: str | os.PathLike,
              layer: str | None = None) -> AreaOfInterest:
    """Read polygons from GeoJSON, GeoPackage, or what else GDAL reads.

    GeoJSON is in WGS 84 longitude and latitude (RFC 7946) unless it has the
    older ``crs`` member.

    Args:
        path: The file.
        layer: Name of the layer, where there are several.

    Raises:
        RasterContractError: Not a vector file, no polygon, no CRS, several
            layers, or a polygon that is wider than half the globe.
        ImportError: pyogrio or shapely is missing.
    """
    path = os.fspath(path)
    pyogrio = require('pyogrio', 'an area of interest')
    shapely = require('shapely', 'an area of interest')
    if not os.path.exists(path) and not path.startswith('/vsi'):
        raise RasterContractError(
            f'{path}: expected a file with an area of interest, found no '
            'such file; check the path')
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(path)]
        if layer is None and len(layers) > 1:
            raise RasterContractError(
                f'{path}: expected one layer, found {", ".join(layers)}; '
                f'name one, e.g. layer={layers[0]}')
        meta, _, stored, _ = pyogrio.raw.read(
            path, layer=layer, columns=[], force_2d=True)
    except (pyogrio.errors.DataSourceError,
            pyogrio.errors.DataLayerError) as error:
        text = ' '.join(str(error).split()).replace(path, 'the file')
        raise RasterContractError(
            f'{path}: expected GeoJSON, GeoPackage or another vector file, '
            f'found one that cannot be read ({text[:160]})') from error
    parts = [
        part for geometry in shapely.from_wkb(
            [] if stored is None else stored)
        if geometry is not None and not geometry.is_empty
        for part in _polygons(shapely.make_valid(geometry))
    ]
    if not parts:
        kind = meta.get('geometry_type') or 'no geometry'
        raise RasterContractError(
            f'{path}: expected polygons, found {kind}; draw the area as a '
            'polygon')
    if not meta.get('crs'):
        raise RasterContractError(
            f'{path}: expected a CRS, found none; say which one it is '
            '(ogr2ogr -a_srs)')
    crs = CRS.from_user_input(meta['crs'])
    if crs.is_geographic:
        for part in parts:
            _check_width(path, part)
    return AreaOfInterest(path, shapely.union_all(parts), crs)


def _polygons(geometry: Any) -> list[Any]:
    if geometry.geom_type == 'Polygon':
        return [geometry]
    return [
        polygon for part in getattr(geometry, 'geoms', ())
        for polygon in _polygons(part)
    ]


def _check_width(path: str, polygon: Any) -> None:
    left, _, right, _ = polygon.bounds
    if _HALF_GLOBE < right - left < 2 * _HALF_GLOBE - 1e-6:
        raise RasterContractError(
            f'{path}: a polygon spans {right - left:.6g} degrees of longitude '
            f'({left:.6g} to {right:.6g}); if it crosses the antimeridian, '
            'cut it there into two (RFC 7946, section 3.1.9) or write '
            'longitudes beyond 180, if it is really so wide, cut it in two '
            'anywhere')


def _in_crs(area: AreaOfInterest, crs: CRS) -> Any:
    """The geometry in another CRS."""
    import shapely
    if CRS.from_user_input(area.crs) == crs:
        return area.geometry
    left, bottom, right, top = area.geometry.bounds
    fine = shapely.segmentize(
        area.geometry, max(right - left, top - bottom) / _PIECES)

    def move(points: np.ndarray) -> np.ndarray:
        xs, ys = transform_coordinates(area.crs, crs, points[:, 0],
                                       points[:, 1])
        return np.column_stack([xs, ys])

    # Part by part: those on the other side of the antimeridian stay apart.
    moved = [shapely.transform(part, move) for part in _polygons(fine)]
    if not all(np.isfinite(part.bounds).all() for part in moved):
        raise RasterContractError(
            f'{area.path}: expected an area that {crs} can express, found '
            f'{_rounded(area.geometry.bounds)} in {area.crs}; choose an area '
            'on the raster')
    return shapely.union_all([shapely.make_valid(part) for part in moved])


def _turns(geometry: Any, bounds: tuple[float, float, float, float]) -> Any:
    """Repeat a geometry in degrees where the raster lies a turn away.

    Rasters across the antimeridian have longitudes beyond 180 or below -180.
    """
    import shapely
    from shapely.affinity import translate
    frame = shapely.box(*bounds)
    near = [
        part for turn in (-360.0, 0.0, 360.0)
        if (part := translate(geometry, turn)).intersects(frame)
    ]
    return shapely.union_all(near) if near else geometry


def _affine(geometry: Any, matrix: Affine) -> Any:
    from shapely.affinity import affine_transform
    return affine_transform(geometry, (matrix.a, matrix.b, matrix.d, matrix.e,
                                       matrix.c, matrix.f))


def _raster_bounds(transform: Affine, shape: tuple[int, int]
                   ) -> tuple[float, float, float, float]:
    """Left, bottom, right, top, also of a rotated raster."""
    height, width = shape
    corners = [transform * corner
               for corner in ((0, 0), (width, 0), (0, height),
                              (width, height))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _is_plain(transform: Any) -> bool:
    return transform is None or transform.is_identity


def _rounded(bounds: tuple[float, ...]) -> str:
    return '(' + ', '.join(f'{value:.8g}' for value in bounds) + ')'
