# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""An area of interest: the part of a raster that a person asks about."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
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
        height, width = shape
        system = CRS.from_user_input(crs)
        near, bounds = _near(self, system, transform, shape)
        pixels = near
        if not near.is_empty:
            pixels = _affine(_in_crs(self.path, near, self.crs, system),
                             ~transform).intersection(_box(0, 0, height,
                                                           width))
        if pixels.area == 0:
            raise RasterContractError(
                f'{self.path}: expected an area inside {path} '
                f'{_rounded(bounds)}, found {_rounded(self.geometry.bounds)} '
                f'(left, bottom, right, top in {self.crs}); choose another '
                'area or raster')
        left, top, right, bottom = pixels.bounds
        row, column = math.floor(top), math.floor(left)
        return AreaOnGrid(pixels, (row, column, math.ceil(bottom) - row,
                                   math.ceil(right) - column))


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

    def crop(self) -> AreaOnGrid:
        """The area in the pixels of its own window."""
        from shapely.affinity import translate
        row, column, height, width = self.window
        return AreaOnGrid(translate(self.geometry, -column, -row),
                          (0, 0, height, width))

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
        from shapely.geometry import mapping
        frame = _box(row, column, height, width)
        if not self.geometry.intersects(frame):
            return np.zeros((height, width), dtype=bool)
        if self.geometry.covers(frame):
            return np.ones((height, width), dtype=bool)
        return geometry_mask(
            [mapping(self.geometry.intersection(frame))], (height, width),
            Affine.translation(column, row), all_touched=True, invert=True)


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


def _near(area: AreaOfInterest, crs: CRS, transform: Affine,
          shape: tuple[int, int]
          ) -> tuple[Any, tuple[float, float, float, float]]:
    """What of an area is close to a raster, and the raster's bounds.

    Both in the area's CRS. What is far away may have no place in the
    raster's CRS, and of an area cut at the antimeridian each part is taken
    where the raster lies.
    """
    import shapely
    frame = _affine(
        shapely.segmentize(_box(0, 0, *shape), max(shape) / _PIECES),
        transform)
    points = _move(shapely.get_coordinates(frame), crs, area.crs)
    geometry = area.geometry
    if CRS.from_user_input(area.crs).is_geographic:
        # Longitudes without jumps, beyond 180 where need be.
        points[:, 0] = np.unwrap(points[:, 0], period=360)
        if not crs.is_geographic:
            points[:, 0] -= 360 * np.round(points[:, 0].mean() / 360)
        geometry = shapely.union_all([
            shapely.affinity.translate(geometry, turn)
            for turn in (-360.0, 0.0, 360.0)
        ])
    bounds = (*points.min(axis=0), *points.max(axis=0))
    frame = shapely.Polygon(points) if np.isfinite(points).all() else None
    # Around a pole the border is no ring in degrees.
    if frame is None or not frame.is_valid or points[0, 0] != points[-1, 0]:
        return area.geometry, bounds
    margin = max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / _PIECES
    return geometry.intersection(frame.buffer(margin)), bounds


def _move(points: np.ndarray, source: Any, target: Any) -> np.ndarray:
    """Coordinates (N, 2) from one CRS to another."""
    if CRS.from_user_input(source) == CRS.from_user_input(target):
        return points
    return np.column_stack(
        transform_coordinates(source, target, points[:, 0], points[:, 1]))


def _in_crs(path: str, geometry: Any, source: Any, target: CRS) -> Any:
    """A geometry in another CRS."""
    import shapely
    if CRS.from_user_input(source) == target:
        return geometry
    left, bottom, right, top = geometry.bounds
    fine = shapely.segmentize(geometry,
                              max(right - left, top - bottom) / _PIECES)
    moved = [
        shapely.transform(part, lambda p: _move(p, source, target))
        for part in _polygons(fine)
    ]
    if not all(np.isfinite(part.bounds).all() for part in moved):
        raise RasterContractError(
            f'{path}: expected an area that {target} can express, found '
            f'{_rounded(geometry.bounds)} in {source}; choose an area on the '
            'raster')
    return shapely.union_all([shapely.make_valid(part) for part in moved])


def _box(row: int, column: int, height: int, width: int) -> Any:
    """A window as a polygon in pixels, x = column, y = row."""
    from shapely.geometry import box
    return box(column, row, column + width, row + height)


def _affine(geometry: Any, matrix: Affine) -> Any:
    from shapely.affinity import affine_transform
    return affine_transform(geometry, (matrix.a, matrix.b, matrix.d, matrix.e,
                                       matrix.c, matrix.f))


def _is_plain(transform: Any) -> bool:
    return transform is None or transform.is_identity


def _rounded(bounds: Sequence[float]) -> str:
    return '(' + ', '.join(f'{value:.8g}' for value in bounds) + ')'
