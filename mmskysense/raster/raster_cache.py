# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Decoded rasters that a process keeps, for archives of small images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmskysense.sensors import Sensor

from .band_contract import Grid
from .open_files import file_signature
from .reader import RasterReader

# Integers of these types come back from float32 exactly.
_EXACT = ('uint8', 'uint16', 'int16')


@dataclass(frozen=True)
class DecodedRaster:
    """A raster that was read, checked and kept; reads as its reader does.

    Args:
        path: File.
        grid: Where its pixels lie.
        crs: Coordinate reference system or None.
        transform: Affine from pixel (column, row) to CRS coordinates.
        values: (C, H, W) in sensor order, in the file's own type where that
            is exact, otherwise float32.
        valid: bool (H, W), or None where every pixel was measured.
    """

    path: str
    grid: Grid
    crs: Any
    transform: Any
    values: np.ndarray
    valid: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.grid.shape

    @property
    def num_bytes(self) -> int:
        """Memory of the pixels."""
        return self.values.nbytes + (
            0 if self.valid is None else self.valid.nbytes)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of what :meth:`RasterReader.read` returned."""
        if self.valid is None:
            valid = np.ones(self.shape, dtype=bool)
        else:
            valid = self.valid.copy()
        return self.values.astype(np.float32), valid


class RasterCache:
    """Keeps decoded rasters until a bound, then reads from disk.

    Nothing is evicted: in random order over an archive that does not fit,
    every kept raster is as likely to be asked for as one that would replace
    it. Each worker process has a cache of its own: what a parent kept is
    shared on a fork, and left behind when a process is spawned. A file that
    was rewritten is read again.

    Args:
        max_bytes: Bound of the decoded pixels in this process; 0 keeps none.

    Raises:
        ValueError: Negative bound.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        if max_bytes < 0:
            raise ValueError(f'RasterCache: max_bytes must be at least 0, '
                             f'found {max_bytes}')
        self.max_bytes = int(max_bytes)
        self.num_bytes = 0
        self._kept: dict[tuple, DecodedRaster] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __getstate__(self) -> dict[str, Any]:
        return dict(max_bytes=self.max_bytes, num_bytes=0, _kept={})

    def get(self, path: str, sensor: Sensor, options: Mapping[str, Any]
            ) -> RasterReader | DecodedRaster:
        """A kept raster, or a reader that reads and keeps it.

        Args:
            path: File.
            sensor: Entry of the sensor table.
            options: Of ``RasterReader``; the same for all calls with one
                sensor.

        Raises:
            RasterContractError: As :meth:`RasterReader.read`.
        """
        reader = RasterReader(path, sensor, **options)
        if not self.max_bytes:
            return reader
        key = (sensor.name, *file_signature(path))
        if key in self._kept:
            return self._kept[key]
        return _KeepingReader(reader, self, key)

    def keep(self, key: tuple, raster: DecodedRaster) -> None:
        """Keep a raster where the bound allows it."""
        if self.num_bytes + raster.num_bytes <= self.max_bytes \
                and key not in self._kept:
            self._kept[key] = raster
            self.num_bytes += raster.num_bytes


class _KeepingReader(RasterReader):
    """A reader whose first whole read goes into a cache."""

    def __init__(self, reader: RasterReader, cache: RasterCache,
                 key: tuple) -> None:
        self.__dict__.update(reader.__dict__)
        self._cache, self._key = cache, key

    def read(self, window: Any = None,
             fill: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        values, valid = super().read(window, fill)
        if window is None and fill == 0:
            unscaled = self.scale is None and self.offset is None
            exact = unscaled and self.dtype in _EXACT
            self._cache.keep(
                self._key,
                DecodedRaster(
                    self.path, self.grid, self.crs, self.transform,
                    values.astype(self.dtype if exact else np.float32),
                    None if valid.all() else valid.copy()))
        return values, valid
