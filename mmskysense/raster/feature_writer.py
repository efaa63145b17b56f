# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Writes maps of features: floating point, NaN where nothing was measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .writer import GeoTIFFWriter


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

    def __init__(self, path: str | os.PathLike, height: int, width: int,
                 descriptions: Sequence[str], dtype: str = 'float32',
                 crs: Any = None, transform: Any = None,
                 tags: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, height, width, descriptions, crs, transform,
                         dict(tags or {}, PRECISION=dtype), 'AVERAGE')
        self.precision = np.dtype(dtype)

    def write(self, row: int, rows: np.ndarray,
              valid: np.ndarray | None = None) -> None:
        """Write finished rows.

        Args:
            row: First row in the raster.
            rows: Float (bands, rows, width).
            valid: bool (rows, width), False becomes NaN; None means all.
        """
        rows = rows.astype(self.precision).astype(np.float32)
        if valid is not None:
            rows = np.where(valid, rows, np.float32('nan'))
        super().write(row, rows)
