# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The grid of a map: that of an input, of another raster, or as asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from ..band_contract import RasterContractError
from ..ground_size import metres_per_unit, pixel_metres
from ..open_files import open_raster
from .image import InputImage

# A requested pixel that is so much coarser or finer than the input's is a
# number in another unit: 10 in degrees is a hundred thousand times 10 m.
_IMPLAUSIBLE = 1000.0


@dataclass(frozen=True)
class MapGrid:
    """Where the pixels of a map lie.

    Args:
        crs: rasterio CRS, None without georeference.
        transform: Affine from (column, row) to coordinates; identity without
            georeference.
        shape: Height and width in pixels.
        path: What it was taken from, for messages.
    """

    crs: Any
    transform: Affine
    shape: tuple[int, int]
    path: str = ''

    @property
    def has_place(self) -> bool:
        """Whether it is georeferenced."""
        return self.crs is not None and not self.transform.is_identity

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in the CRS, also of a rotated grid."""
        height, width = self.shape
        xs, ys = zip(*(self.transform * corner for corner in (
            (0, 0), (width, 0), (0, height), (width, height))), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def crop(self, window: tuple[int, int, int, int]) -> MapGrid:
        """The part that a window (row, column, height, width) covers."""
        row, column, height, width = window
        return replace(
            self,
            transform=self.transform * Affine.translation(column, row),
            shape=(height, width))


def grid_of(path: str) -> MapGrid:
    """The grid of a raster.

    Raises:
        RasterContractError: Missing, not a raster, or georeferenced only by
            control points or sensor model, which a map would lose.
    """
    dataset = open_raster(path)
    points = len(dataset.gcps[0]) if dataset.transform.is_identity else 0
    if points or (dataset.transform.is_identity and dataset.crs is None
                  and dataset.rpcs is not None):
        found = f'{points} ground control points' if points \
            else 'rational polynomial coefficients'
        raise RasterContractError(
            f'{path}: expected a geotransform, or none at all, found '
            f'{found}; warp it first: gdalwarp '
            f'{"-tps" if points else "-rpc"} -t_srs EPSG:... IN OUT')
    return MapGrid(dataset.crs, dataset.transform, dataset.shape, path)


def grid_of_image(image: InputImage) -> MapGrid:
    """The grid of an image's finest band, the first of several.

    Raises:
        RasterContractError: A file is missing, or not a raster.
    """
    paths = list(dict.fromkeys(band.path for band in image.bands))
    finest = min(paths, key=lambda path: round(
        pixel_metres(open_raster(path)), 6))
    return grid_of(finest)


def requested_grid(reference: MapGrid,
                   crs: str | None = None,
                   resolution: float | None = None) -> MapGrid:
    """The grid that covers a reference in another CRS or resolution.

    Its edges lie on multiples of the resolution, so that maps of neighbouring
    scenes fit each other.

    Args:
        reference: What is to be covered.
        crs: Such as ``'EPSG:32632'``; None keeps the reference's.
        resolution: Side of a pixel in units of the CRS; None keeps the size
            that the reference's pixels have on the ground.

    Raises:
        ValueError: Not a CRS; a resolution that is not positive, or in
            another unit than the CRS's.
        RasterContractError: The reference is not georeferenced, or has no
            place in the CRS.
    """
    if not reference.has_place:
        raise RasterContractError(
            f'{reference.path}: a requested grid (crs=, resolution=, like=) '
            'needs a raster with CRS and geotransform, found none; '
            'georeference it (gdal_translate -a_srs -a_ullr), or leave the '
            'request out')
    target = reference.crs if crs is None else _parse(crs)
    bounds = reference.bounds
    if target != reference.crs:
        bounds = transform_bounds(reference.crs, target, *bounds,
                                  densify_pts=21)
    if not np.isfinite(bounds).all() or bounds[0] >= bounds[2]:
        raise RasterContractError(
            f'{reference.path}: expected a place that {target} can express, '
            f'found bounds {_rounded(reference.bounds)} in {reference.crs}'
            f'{_turn_note(target, bounds)}; choose another CRS')
    middle = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    unit = math.sqrt(math.prod(metres_per_unit(target, *middle)))
    metres = _ground(reference)
    if resolution is None:
        resolution = metres / unit if target != reference.crs else abs(
            reference.transform.determinant)**0.5
    _check_resolution(resolution, target, unit, metres)
    left, bottom, right, top = (value / resolution for value in bounds)
    # A hair of tolerance, or rounding adds a pixel at an edge.
    column, row = math.floor(left + 1e-6), math.ceil(top - 1e-6)
    width = max(1, math.ceil(right - 1e-6) - column)
    height = max(1, row - math.floor(bottom + 1e-6))
    transform = Affine(resolution, 0, column * resolution, 0, -resolution,
                       row * resolution)
    return MapGrid(target, transform, (height, width), reference.path)


def grid_of_images(images: Sequence[InputImage]) -> MapGrid:
    """The first image's grid, extended until it covers all images.

    Args:
        images: Of one day: neighbouring tiles, also of other CRS.

    Raises:
        RasterContractError: Several images, one without georeference.
    """
    grid = grid_of_image(images[0])
    others = [grid_of_image(image) for image in images[1:]]
    bare = [one for one in (grid, *others) if not one.has_place]
    if others and bare:
        raise RasterContractError(
            f'{bare[0].path}: joining several files of one day needs CRS and '
            'geotransform, found none; georeference it, or name one file')
    left, top, right, bottom = 0.0, 0.0, grid.shape[1], grid.shape[0]
    for other in others:
        bounds = other.bounds
        if other.crs != grid.crs:
            bounds = transform_bounds(other.crs, grid.crs, *bounds)
        corners = [~grid.transform * corner for corner in (
            (bounds[0], bounds[1]), (bounds[0], bounds[3]),
            (bounds[2], bounds[1]), (bounds[2], bounds[3]))]
        columns, rows = zip(*corners, strict=True)
        left, right = min(left, *columns), max(right, *columns)
        top, bottom = min(top, *rows), max(bottom, *rows)
    row, column = math.floor(top + 1e-6), math.floor(left + 1e-6)
    return grid.crop((row, column, math.ceil(bottom - 1e-6) - row,
                      math.ceil(right - 1e-6) - column))


def overlaps(grid: MapGrid, other: MapGrid) -> bool:
    """Whether two georeferenced grids share ground (by their bounds)."""
    bounds = other.bounds
    if other.crs != grid.crs:
        bounds = transform_bounds(other.crs, grid.crs, *bounds)
    left, bottom, right, top = grid.bounds
    return bool(bounds[0] < right and bounds[2] > left and bounds[1] < top
                and bounds[3] > bottom)


def _parse(text: str) -> CRS:
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise ValueError(f'crs={text}: expected a coordinate reference system '
                         'such as EPSG:32632, found something that PROJ does '
                         'not know') from error


def _ground(grid: MapGrid) -> float:
    """Side of a grid's pixels in metres."""
    left, bottom, right, top = grid.bounds
    along = metres_per_unit(grid.crs, (left + right) / 2, (bottom + top) / 2)
    return math.sqrt(abs(grid.transform.determinant) * math.prod(along))


def _check_resolution(resolution: float, crs: CRS, unit: float,
                      metres: float) -> None:
    if not (math.isfinite(resolution) and resolution > 0):
        raise ValueError(f'resolution={resolution:g}: expected a positive '
                         'number')
    ratio = resolution * unit / metres
    if not 1 / _IMPLAUSIBLE < ratio < _IMPLAUSIBLE:
        name = 'degrees' if crs.is_geographic else crs.linear_units
        raise ValueError(
            f'resolution={resolution:g}: expected a number in units of {crs} '
            f"({name}), found pixels of {resolution * unit:.4g} m for an "
            f'input of {metres:.4g} m; {metres:.4g} m are '
            f'{metres / unit:.4g} {name} there')


def _turn_note(crs: CRS, bounds: tuple[float, ...]) -> str:
    """Why bounds in degrees run backwards."""
    if crs.is_geographic and np.isfinite(bounds).all():
        return (f', which cross the antimeridian ({bounds[0]:.6g} to '
                f'{bounds[2]:.6g} degrees)')
    return ''


def _rounded(bounds: tuple[float, ...]) -> str:
    return '(' + ', '.join(f'{value:.8g}' for value in bounds) + ')'
