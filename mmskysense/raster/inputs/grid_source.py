# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Bands of one file on the grid of a map, whatever their own grid is."""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window, intersect

from ..band_contract import RasterContractError
from ..open_files import damaged, file_signature, open_raster
from .map_grid import MapGrid

# Handles of warped files that a thread keeps: a dozen dates of a product.
_MAX_HANDLES = 160
_LOCAL = threading.local()
# A shift below this share of a pixel is rounding, not another grid (ours).
_SAME_PIXEL = 1e-3


@dataclass(frozen=True)
class GridSource:
    """Reads bands of one file in windows of a grid.

    Pixels that lie on the grid's own pixels are read as they are; all others
    are warped: bilinear onto finer pixels, averaged onto coarser ones, or
    nearest neighbour where values are categories.

    Args:
        path: Anything GDAL opens.
        indexes: 1-based numbers of the bands.
        grid: The grid of the map.
        nodata: Value that means no measurement; None leaves it to the file's
            mask.
        all_bands: A pixel is missing only where all bands hold ``nodata``.
        categories: Values are categories.
    """

    path: str
    indexes: tuple[int, ...]
    grid: MapGrid
    nodata: float | None = None
    all_bands: bool = False
    categories: bool = False

    def read(self, window: tuple[int, int, int, int]
             ) -> tuple[np.ndarray, np.ndarray]:
        """Read a window that lies inside the grid.

        Args:
            window: Row, column, height, width.

        Returns:
            Values (C, H, W) in the file's type, and bool (H, W), True where
            the file covers the pixel, no value is NaN or infinite, and
            neither its mask nor the nodata value hides it.

        Raises:
            RasterContractError: The file cannot be read there, or has no
                place on the grid.
        """
        dataset = open_raster(self.path)
        try:
            place = self._offset(dataset)
            if place is None:
                values, valid = self._warped(dataset, window)
            else:
                values, valid = self._plain(dataset, place, window)
        except (RasterioError, OSError) as error:
            raise damaged(dataset, self.path, error) from error
        if values.dtype.kind == 'f':
            valid &= np.isfinite(values).all(axis=0)
        return values, valid

    def _offset(self, dataset: Any) -> tuple[int, int] | None:
        """Row and column of the grid's corner in the file, if they fit."""
        grid = self.grid
        placed = dataset.crs is not None and not dataset.transform.is_identity
        if not (placed and grid.has_place):
            if placed or grid.has_place or dataset.shape != grid.shape:
                raise RasterContractError(
                    f'{self.path}: expected the grid of {grid.path} '
                    f'({grid.shape[1]}x{grid.shape[0]} pixels), found '
                    f'{dataset.width}x{dataset.height} pixels '
                    f'{"with" if placed else "without"} georeference; '
                    'georeference both')
            return 0, 0
        if dataset.crs != grid.crs:
            return None
        own = ~dataset.transform * grid.transform
        turned = max(abs(own.a - 1), abs(own.b), abs(own.d), abs(own.e - 1))
        if turned * max(grid.shape) > _SAME_PIXEL or max(
                abs(own.c - round(own.c)), abs(own.f - round(own.f))
        ) > _SAME_PIXEL:
            return None
        return round(own.f), round(own.c)

    def _plain(self, dataset: Any, place: tuple[int, int],
               window: tuple[int, int, int, int]
               ) -> tuple[np.ndarray, np.ndarray]:
        row, column, height, width = window
        wanted = Window(column + place[1], row + place[0], width, height)
        values = np.zeros((len(self.indexes), height, width),
                          dataset.dtypes[self.indexes[0] - 1])
        valid = np.zeros((height, width), dtype=bool)
        whole = Window(0, 0, dataset.width, dataset.height)
        if not intersect(wanted, whole):
            return values, valid
        inside = wanted.intersection(whole)
        rows = slice(inside.row_off - wanted.row_off,
                     inside.row_off - wanted.row_off + inside.height)
        columns = slice(inside.col_off - wanted.col_off,
                        inside.col_off - wanted.col_off + inside.width)
        raw = dataset.read(list(self.indexes), window=inside)
        mask = np.ones(raw.shape[1:], dtype=bool)
        if _has_mask(dataset, self.indexes[0]):
            mask &= dataset.dataset_mask(window=inside) > 0
        if self.nodata is not None:
            missing = np.isnan(raw) if np.isnan(self.nodata) \
                else raw == self.nodata
            mask &= ~(missing.all(axis=0) if self.all_bands
                      else missing.any(axis=0))
        values[:, rows, columns] = raw
        valid[rows, columns] = mask
        return values, valid

    def _warped(self, dataset: Any, window: tuple[int, int, int, int]
                ) -> tuple[np.ndarray, np.ndarray]:
        row, column, height, width = window
        grid = _warped_handle(self, dataset)
        place = Window(column, row, width, height)
        values = grid.read(list(self.indexes), window=place)
        return values, grid.read(grid.count, window=place) > 0


def _has_mask(dataset: Any, index: int) -> bool:
    flags = dataset.mask_flag_enums[index - 1]
    return MaskFlags.per_dataset in flags or MaskFlags.alpha in flags or \
        ColorInterp.alpha in dataset.colorinterp


def _resampling(source: GridSource, dataset: Any) -> Resampling:
    if source.categories:
        return Resampling.nearest
    middle = source.grid.crop((source.grid.shape[0] // 2,
                               source.grid.shape[1] // 2, 1, 1))
    left, bottom, right, top = rasterio.warp.transform_bounds(
        source.grid.crs, dataset.crs, *middle.bounds)
    own = abs(dataset.transform.determinant)
    # Pixels of the file in one of the grid's; half as many again is coarser.
    coarser = abs((right - left) * (top - bottom)) > 2 * own
    return Resampling.average if coarser else Resampling.bilinear


def _warped_handle(source: GridSource, dataset: Any) -> WarpedVRT:
    """This thread's warped view; its last band is the mask."""
    handles = getattr(_LOCAL, 'handles', None)
    if handles is None or _LOCAL.pid != os.getpid():
        # Inherited through a fork: parked with the parent's, never closed.
        _LOCAL.parked = [*getattr(_LOCAL, 'parked', ()), handles]
        handles = _LOCAL.handles = OrderedDict()
        _LOCAL.pid = os.getpid()
    key = (source, file_signature(source.path))
    if key in handles:
        handles.move_to_end(key)
        return handles[key][0]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        # Not the shared handle, which may be closed while this one is used.
        own = rasterio.open(source.path)
    height, width = source.grid.shape
    alpha = next((n for n, colour in enumerate(own.colorinterp, 1)
                  if colour is ColorInterp.alpha), 0)
    view = WarpedVRT(
        own, crs=source.grid.crs, transform=source.grid.transform,
        height=height, width=width,
        resampling=_resampling(source, dataset), src_nodata=source.nodata,
        src_alpha=alpha, add_alpha=not alpha, warp_extras=dict(
            UNIFIED_SRC_NODATA='YES' if source.all_bands else 'PARTIAL'))
    handles[key] = view, own
    while len(handles) > _MAX_HANDLES:
        for handle in handles.popitem(last=False)[1]:
            handle.close()
    return view
