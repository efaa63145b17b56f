# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Where the pictures of a page lie, and how coarse they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine, array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import (
    calculate_default_transform,
    reproject,
    transform_bounds,
)
from rasterio.windows import Window, from_bounds, intersect

from mmskysense.raster.ground_size import pixel_metres

_MERCATOR = CRS.from_epsg(3857)
# Web Mercator ends at 85.06 degrees; its world is this wide, in metres.
_WORLD = 2 * math.pi * 6378137.0
_TOO_WIDE = _WORLD / 4


@dataclass(frozen=True)
class PageFrame:
    """The grid on which all pictures of a page are drawn.

    Args:
        crs: Web Mercator, or that of the raster, or None.
        transform: Affine from (column, row) of the pictures to coordinates.
        shape: Height and width of the pictures in pixels.
        factor: Raster pixels along one picture pixel, at least 1.
        raster_shape: Height and width of the raster in pixels.
        metres: Side of a raster pixel in metres, None without georeference.
        is_mercator: Whether coordinates can be shown as latitude and
            longitude.
    """

    crs: Any
    transform: Affine
    shape: tuple[int, int]
    factor: float
    raster_shape: tuple[int, int]
    metres: float | None
    is_mercator: bool

    def as_dict(self) -> dict[str, Any]:
        """What the page's script needs to place the pictures."""
        left, bottom, right, top = array_bounds(*self.shape, self.transform)
        height, width = self.raster_shape
        return dict(
            mercator=self.is_mercator,
            bounds=[left, bottom, right, top] if self.is_mercator
            else [0, -height, width, 0],
            shape=list(self.shape),
            metres=self.metres)


def frame_of(dataset: Any, max_side: int) -> PageFrame:
    """Choose the grid of a page.

    Rasters with a CRS are shown in Web Mercator, north up, so that positions
    are latitude and longitude. Shown on their own grid are rasters without
    georeference, near the poles, or across the antimeridian.

    Args:
        dataset: Open rasterio dataset of the map.
        max_side: Longest side of the pictures in pixels.
    """
    own = _own_frame(dataset, max_side)
    if own.metres is None:
        return own
    try:
        transform, width, height = calculate_default_transform(
            dataset.crs, _MERCATOR, dataset.width, dataset.height,
            *dataset.bounds)
    except Exception:  # outside Mercator's world: GDAL's own error class
        return own
    if width is None or height is None or not np.isfinite(
            transform.a) or width * transform.a > _TOO_WIDE:
        return own
    shrink = max(1.0, max(width, height) / max_side)
    shape = (max(1, round(height / shrink)), max(1, round(width / shrink)))
    scaled = transform * Affine.scale(width / shape[1], height / shape[0])
    # Mercator's default pixels are about as large as the raster's.
    return PageFrame(_MERCATOR, scaled, shape, shrink, dataset.shape,
                     own.metres, True)


def _own_frame(dataset: Any, max_side: int) -> PageFrame:
    height, width = dataset.shape
    shrink = max(1.0, max(height, width) / max_side)
    shape = (max(1, round(height / shrink)), max(1, round(width / shrink)))
    placed = dataset.crs is not None and not dataset.transform.is_identity
    scaled = dataset.transform * Affine.scale(width / shape[1],
                                              height / shape[0])
    return PageFrame(dataset.crs if placed else None, scaled, shape, shrink,
                     dataset.shape, pixel_metres(dataset) if placed else None,
                     False)


def read_on_frame(dataset: Any, band: int, frame: PageFrame,
                  resampling: Resampling, nodata: float | None = None
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Read a band onto the page's grid.

    Args:
        dataset: Open rasterio dataset.
        band: 1-based number.
        frame: The page's grid.
        resampling: How pixels are merged.
        nodata: Replaces the file's own value.

    Returns:
        Values (H, W) in the file's type, and bool (H, W), True where
        measured.
    """
    own = nodata is None or nodata == dataset.nodata
    part = _decimated(dataset, band, frame, resampling) if own else None
    if part is None:
        values, valid = _warped(
            dataset, band, frame, resampling,
            dataset.nodata if nodata is None else nodata)
    else:
        values, valid = part
    if values.dtype.kind == 'f':
        valid &= np.isfinite(values)
    return values, valid


def _decimated(dataset: Any, band: int, frame: PageFrame,
               resampling: Resampling
               ) -> tuple[np.ndarray, np.ndarray] | None:
    """The way for large rasters: read coarsely, then warp a small picture.

    GDAL's warper looks at every pixel of a raster without overviews, which
    takes many times as long as reading it.

    Returns:
        As :func:`read_on_frame`, or None where it is of no use.
    """
    if frame.crs is None or dataset.crs is None or frame.metres is None \
            or dataset.transform.b or dataset.transform.d:
        return None
    # Twice as fine as the page, so that warping loses nothing visible.
    shrink = frame.metres * frame.factor / pixel_metres(dataset) / 2
    if shrink < 2:
        return None
    bounds = transform_bounds(
        frame.crs, dataset.crs, *array_bounds(*frame.shape, frame.transform))
    if not np.isfinite(bounds).all():
        return None
    around = from_bounds(*bounds, dataset.transform)
    whole = Window(0, 0, dataset.width, dataset.height)
    if not intersect(around, whole):
        return (np.zeros(frame.shape, dataset.dtypes[band - 1]),
                np.zeros(frame.shape, dtype=bool))
    window = around.intersection(whole).round_offsets().round_lengths()
    shape = (max(1, round(window.height / shrink)),
             max(1, round(window.width / shrink)))
    coarse = dataset.read(band, window=window, out_shape=shape,
                          resampling=resampling)
    measured = dataset.read_masks(band, window=window, out_shape=shape)
    place = dataset.window_transform(window) * Affine.scale(
        window.width / shape[1], window.height / shape[0])
    values = np.zeros(frame.shape, coarse.dtype)
    valid = np.zeros(frame.shape, np.uint8)
    for source, target in ((coarse, values), (measured, valid)):
        reproject(source, target, src_transform=place, src_crs=dataset.crs,
                  dst_transform=frame.transform, dst_crs=frame.crs,
                  resampling=Resampling.nearest)
    return values, valid > 0


def _warped(dataset: Any, band: int, frame: PageFrame, resampling: Resampling,
            nodata: float | None) -> tuple[np.ndarray, np.ndarray]:
    with _on_frame(dataset, frame, resampling, nodata) as grid:
        values = grid.read(band, out_shape=frame.shape, resampling=resampling)
        valid = grid.read_masks(band, out_shape=frame.shape) > 0
    return values, valid


@contextmanager
def _on_frame(dataset: Any, frame: PageFrame, resampling: Resampling,
              nodata: float | None) -> Iterator[Any]:
    """The dataset on the page's grid; itself where both have none."""
    if frame.crs is None or dataset.crs is None:
        yield dataset
        return
    alpha = {} if nodata is not None else dict(add_alpha=True)
    with WarpedVRT(
            dataset, crs=frame.crs, transform=frame.transform,
            height=frame.shape[0], width=frame.shape[1],
            resampling=resampling, src_nodata=nodata, nodata=nodata,
            **alpha) as grid:
        yield grid
