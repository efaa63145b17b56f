# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Windows of several sensors and dates over the same ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from rasterio.transform import Affine

from ..band_contract import RasterContractError
from ..grid import GridWindow
from ..ground_size import pixel_metres
from ..reader import RasterReader
from ..window_source import SourceWindow
from .dates import by_day
from .gather import MapInputs
from .image import InputImage
from .image_reader import get_reader
from .map_grid import MapGrid, grid_of_images


@dataclass(frozen=True)
class SeriesPicture:
    """What all sensors show of a window.

    Args:
        images: Sensor -> float32 (T, C, h, w) in file units, each at its own
            resolution, 0 where not measured.
        valid: Sensor -> bool (T, h, w).
        dates: Sensor -> int64 (T,), day of year, 0 = unknown.
    """

    images: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    dates: dict[str, np.ndarray]

    def flipped(self, axes: tuple[int, ...]) -> SeriesPicture:
        """Turned round along axes of (..., h, w)."""

        def turn(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {sensor: np.ascontiguousarray(np.flip(array, axes))
                    for sensor, array in arrays.items()}

        return SeriesPicture(turn(self.images), turn(self.valid), self.dates)


class SeriesReader:
    """Reads windows of a map's grid from all its inputs.

    A sensor that is about k times coarser than the map is read on a grid of
    its own whose pixels are k of the map's: both show the same ground, as in
    training. Windows must start and end on multiples of the largest k,
    :attr:`multiple`.

    Args:
        inputs: Images of several sensors, the map's grid and the area.

    Attributes:
        factors: Sensor -> k.
        shape: Height and width of the map in pixels.
    """

    scale = offset = nodata = None

    def __init__(self, inputs: MapInputs) -> None:
        self.inputs = inputs
        self.shape = inputs.grid.shape
        self.crs, self.transform = inputs.grid.crs, inputs.grid.transform
        self.path = inputs.grid.path
        self.series: dict[str, list[list[InputImage]]] = {}
        self.factors: dict[str, int] = {}
        self.grids: dict[str, MapGrid] = {}
        for sensor, images in inputs.images.items():
            if sensor is None:
                raise RasterContractError(
                    f'{images[0].label}: a map from several sensors needs '
                    'the sensor of each, as SENSOR=RASTER')
            self.series[sensor] = by_day(images)
            own = min(
                _metres(grid_of_images(day)) for day in self.series[sensor])
            factor = max(round(own / _metres(inputs.grid)), 1)
            self.factors[sensor] = factor
            self.grids[sensor] = replace(
                inputs.grid,
                transform=_coarser(inputs.grid.transform, factor),
                shape=(-(-self.shape[0] // factor),
                       -(-self.shape[1] // factor)))
        self._readers: dict[str, list[RasterReader]] = {}

    @property
    def multiple(self) -> int:
        """What windows' rows and columns must be multiples of."""
        return int(np.lcm.reduce(list(self.factors.values())))

    @property
    def indexes(self) -> tuple[int, ...]:
        """Empty: bands belong to sensors."""
        return ()

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self), _readers={})

    def readers(self, sensor: str) -> list[RasterReader]:
        """A reader for each day of a sensor."""
        if sensor not in self._readers:
            self._readers[sensor] = [
                get_reader(day, self.grids[sensor])
                for day in self.series[sensor]]
        return self._readers[sensor]

    def days(self, sensor: str) -> np.ndarray:
        """Day of year of each, int64 (T,), 0 = unknown."""
        return np.array([
            0 if day[0].date is None else day[0].date.timetuple().tm_yday
            for day in self.series[sensor]], dtype=np.int64)

    def read(self, place: GridWindow) -> tuple[SeriesPicture, np.ndarray]:
        """Read a window, which may reach beyond the map.

        Returns:
            The picture, and bool (height, width), True where any sensor
            measured anything at any date, inside the area.
        """
        images, valid, dates = {}, {}, {}
        seen = np.zeros((place.height, place.width), dtype=bool)
        for sensor, factor in self.factors.items():
            window = tuple(value // factor for value in place.as_tuple())
            pairs = [reader.read(window) for reader in self.readers(sensor)]
            images[sensor] = np.stack([values for values, _ in pairs])
            valid[sensor] = np.stack([mask for _, mask in pairs])
            dates[sensor] = self.days(sensor)
            any_date = valid[sensor].any(axis=0)
            seen |= any_date.repeat(factor, 0).repeat(factor, 1)
        bottom = min(place.row + place.height, self.shape[0]) - place.row
        right = min(place.column + place.width, self.shape[1]) - place.column
        seen[bottom:], seen[:, right:] = False, False
        if self.inputs.area is not None:
            seen[:bottom, :right] &= self.inputs.area.mask(
                place.row, place.column, bottom, right)
        return SeriesPicture(images, valid, dates), seen

    def source(self, windows: Sequence[GridWindow]) -> SeriesSource:
        """Windows by number."""
        return SeriesSource(self, windows)


class SeriesSource:
    """Windows of several sensors by number, as :class:`WindowSource`.

    Args:
        reader: Of the inputs.
        windows: Windows of the map.
    """

    def __init__(self, reader: SeriesReader,
                 windows: Sequence[GridWindow]) -> None:
        self.reader, self.windows = reader, windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> SourceWindow:
        place = self.windows[index]
        picture, seen = self.reader.read(place)
        return SourceWindow(place, picture if seen.any() else None, seen)


def _metres(grid: MapGrid) -> float:
    """Side of a pixel on the ground."""
    return pixel_metres(SimpleNamespace(
        transform=grid.transform, crs=grid.crs, height=grid.shape[0],
        width=grid.shape[1]))


def _coarser(transform: Affine, factor: int) -> Affine:
    return Affine(transform.a * factor, transform.b * factor, transform.c,
                  transform.d * factor, transform.e * factor, transform.f)


def check_sensors(inputs: MapInputs, sensors: Sequence[str]) -> None:
    """Refuse sensors that a model does not know.

    Raises:
        RasterContractError: One is not among ``sensors``.
    """
    for sensor, images in inputs.images.items():
        if sensor is None or sensor not in sensors:
            raise RasterContractError(
                f'{images[0].label}: the model takes {", ".join(sensors)}, '
                f'found {sensor}; write SENSOR=RASTER with one of them')
