# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Mean and standard deviation of each band over any number of rasters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .band_contract import RasterContractError
from .reader import RasterReader

# Side of the windows that are read; whole files need not fit into memory.
_SIDE = 1024
#: Endings of the files that are taken from a folder.
RASTER_SUFFIXES = ('.tif', '.tiff', '.vrt', '.jp2', '.png', '.img')


class BandStatistics:
    """Count, mean, deviation, least and greatest value of each band.

    Values come in parts. Each part has its own mean and sum of squared
    differences, which are then joined (Chan, Golub and LeVeque, 1979): sums
    of squares of large numbers, as reflectance x 10000 in int16 has them,
    would lose the deviation to rounding.

    Args:
        num_bands: Bands of every part.
    """

    def __init__(self, num_bands: int) -> None:
        self.count = 0
        self.mean = np.zeros(num_bands)
        self.low = np.full(num_bands, np.inf)
        self.high = np.full(num_bands, -np.inf)
        self._squares = np.zeros(num_bands)

    def update(self, values: np.ndarray, valid: np.ndarray) -> None:
        """Add a part.

        Args:
            values: (C, H, W), any real dtype, in file units.
            valid: bool (H, W), True where all bands were measured; other
                pixels do not count.

        Raises:
            ValueError: Another number of bands than before.
        """
        if values.shape[0] != len(self.mean):
            raise ValueError(f'expected {len(self.mean)} bands, found '
                             f'{values.shape[0]}')
        part = values[:, valid].astype(np.float64)
        count = part.shape[1]
        if not count:
            return
        mean = part.mean(1)
        total = self.count + count
        shift = mean - self.mean
        self._squares += ((part - mean[:, None])**2).sum(1)
        self._squares += shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.low = np.minimum(self.low, part.min(1))
        self.high = np.maximum(self.high, part.max(1))
        self.count = total

    @property
    def std(self) -> np.ndarray:
        """Standard deviation (C,), of the pixels as a whole population."""
        return np.sqrt(self._squares / max(self.count, 1))

    def to_dict(self) -> dict[str, Any]:
        """``pixels``, and lists ``mean``, ``std``, ``min``, ``max``."""
        return dict(pixels=self.count, mean=self.mean.round(4).tolist(),
                    std=self.std.round(4).tolist(), min=self.low.tolist(),
                    max=self.high.tolist())


def find_rasters(paths: Sequence[str | os.PathLike],
                 pattern: str | None = None) -> list[Path]:
    """Files that are given, and rasters in the folders that are given.

    Args:
        paths: Files and folders; folders are searched with all below them.
        pattern: Only names in folders that match it, such as ``'*_SR.tif'``;
            every file of :data:`RASTER_SUFFIXES` by default.

    Returns:
        Files in sorted order, each once.

    Raises:
        FileNotFoundError: A path does not exist, or there is no raster.
    """
    found: set[Path] = set()
    for given in map(Path, paths):
        if given.is_file():
            found.add(given)
        elif given.is_dir():
            found.update(
                file for file in given.rglob(pattern or '*')
                if file.is_file() and (
                    pattern or file.suffix.lower() in RASTER_SUFFIXES))
        else:
            raise FileNotFoundError(
                f'{given}: expected a raster or a folder of rasters, found '
                'nothing; check the path')
    if not found:
        what = f"'{pattern}'" if pattern else ', '.join(RASTER_SUFFIXES)
        raise FileNotFoundError(
            f"{', '.join(map(str, paths))}: expected rasters ({what}), found "
            'none; check the path or give another --pattern')
    return sorted(found)


def measure_bands(files: Sequence[str | os.PathLike],
                  progress: bool = True,
                  **reading: Any) -> BandStatistics:
    """Measure rasters window by window.

    Args:
        files: Rasters with the same bands.
        progress: Show a bar on a terminal.
        reading: Further arguments of :class:`RasterReader`: ``sensor``,
            ``bands``, ``scale``, ``offset``, ``nodata``.

    Returns:
        Statistics over all measured pixels, each pixel counting alike, in
        the sensor's band order and unit; without a sensor, in the file's.

    Raises:
        RasterContractError: A file is damaged, contradicts the sensor or has
            other bands than the first, or nothing at all was measured.
    """
    statistics: BandStatistics | None = None
    for path in tqdm(files, 'rasters', disable=None if progress else True):
        reader = RasterReader(path, **reading).check_contract()
        bands = len(reader.indexes)
        statistics = statistics or BandStatistics(bands)
        if bands != len(statistics.mean):
            raise RasterContractError(
                f'{path}: expected {len(statistics.mean)} bands as in '
                f'{files[0]}, found {bands}; measure them apart, or say with '
                'a sensor or bands= which bands are meant')
        for window in _windows(*reader.shape):
            statistics.update(*reader.read(window))
    if statistics is None or not statistics.count:
        raise RasterContractError(
            f'{len(files)} rasters: expected measured pixels, found none; '
            'look at their nodata value, or pass nodata=')
    return statistics


def _windows(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """(row, column, height, width) of windows that tile a raster."""
    for row in range(0, height, _SIDE):
        for column in range(0, width, _SIDE):
            yield (row, column, min(_SIDE, height - row),
                   min(_SIDE, width - column))
