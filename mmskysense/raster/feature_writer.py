# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Writes maps of features: floating point, NaN where nothing was measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from .writer import BLOCK, GeoTIFFWriter

_ROWS = 16  # the lowest block that TIFF allows


class FeatureWriter(GeoTIFFWriter):
    """A cloud-optimised GeoTIFF of floats, whole or not at all.

    Args:
        path: The file to write.
        height: Rows.
        width: Columns.
        descriptions: One for each band.
        dtype: ``'float32'`` or ``'float16'``. GDAL before 3.11 stores no
            float16: values are then rounded to it and stored as float32,
            which compresses almost as well.
        crs: Coordinate reference system, or None.
        transform: Affine, also rotated.
        tags: Metadata of the file.
    """

    dtype = 'float32'
    nodata = float('nan')
    # Rows come a few at a time and in up to thousands of bands: they are
    # gathered until they fill low blocks, each of which is written once.
    layout: Mapping[str, Any] = dict(
        tiled=True, blockxsize=BLOCK, blockysize=_ROWS)

    def __init__(self, path: str | os.PathLike, height: int, width: int,
                 descriptions: Sequence[str], dtype: str = 'float32',
                 crs: Any = None, transform: Any = None,
                 tags: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, height, width, descriptions, crs, transform,
                         dict(tags or {}, PRECISION=dtype), 'AVERAGE')
        self.precision = np.dtype(dtype)
        self._first, self._waiting = 0, np.empty(
            (len(self.descriptions), 0, width), np.float32)

    def write_features(self, row: int, rows: np.ndarray,
                       valid: np.ndarray | None = None) -> None:
        """Write the next rows, from top to bottom.

        Args:
            row: First row in the raster.
            rows: Float (bands, rows, width).
            valid: bool (rows, width), False becomes NaN; None means all.
        """
        rows = rows.astype(self.precision).astype(np.float32)
        if valid is not None:
            rows = np.where(valid, rows, np.float32('nan'))
        if row != self._first + self._waiting.shape[1]:
            raise ValueError(
                f'{self.path}: expected row '
                f'{self._first + self._waiting.shape[1]} next, found {row}')
        self._waiting = np.concatenate((self._waiting, rows), axis=1)
        full = self._waiting.shape[1] // _ROWS * _ROWS
        if full:
            self._flush(full)

    def _flush(self, count: int) -> None:
        self.write(self._first, np.ascontiguousarray(
            self._waiting[:, :count]))
        self._first += count
        self._waiting = self._waiting[:, count:].copy()

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None and self._waiting.shape[1]:
            self._flush(self._waiting.shape[1])
        super().__exit__(kind, error, trace)
