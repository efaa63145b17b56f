# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Reads an image, whose bands may lie in several files, on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rasterio.coords import BoundingBox
from rasterio.transform import Affine
from rasterio.windows import Window

from mmskysense.sensors import Unit, get_sensor

from ..band_contract import RasterContractError, check_dtype
from ..open_files import open_raster
from ..reader import RasterReader, WindowLike
from .area import AreaOnGrid
from .grid_source import GridSource
from .image import InputImage
from .map_grid import MapGrid, grid_of_image


class ImageReader(RasterReader):
    """Reads windows of an image in band order and unit of its sensor.

    Behaves as the :class:`RasterReader` of a file on ``grid`` would. A pixel
    is measured where all bands are, and neither the image's mask (clouds) nor
    the area hides it.

    Args:
        image: One acquisition.
        grid: The grid of the map; None takes that of the finest band.
        area: Pixels of ``grid`` that count; None means all.
        check: Whether values are checked for the sensor's unit and range.

    Raises:
        RasterContractError: On first use, if a file is missing or does not
            fit the sensor or the grid.
    """

    def __init__(self,
                 image: InputImage,
                 grid: MapGrid | None = None,
                 area: AreaOnGrid | None = None,
                 check: bool = True) -> None:
        super().__init__(image.label, image.sensor, scale=image.scale,
                         offset=image.offset, nodata=image.nodata,
                         check=check)
        self.image, self.area = image, area
        self.map_grid = grid or grid_of_image(image)
        self._view: _GridView | None = None

    @property
    def dataset(self) -> Any:
        """The image as one raster on the map's grid."""
        if self._view is None:
            self._view = _GridView(self)
        return self._view

    @property
    def indexes(self) -> tuple[int, ...]:
        """1-based numbers of the image's bands, in sensor order."""
        if self._indexes is None:
            if self.sensor is not None:
                overridden = self.scale is not None or self.offset is not None
                for source in self.image.bands:
                    check_dtype(source.path, self.sensor,
                                _dtype(source.path, source.index), overridden)
            self._indexes = tuple(range(1, len(self.image.bands) + 1))
        return self._indexes

    def sources(self, grid: MapGrid) -> list[tuple[GridSource, list[int]]]:
        """The image's files on a grid, and the places of their bands."""
        by_path: dict[str, list[int]] = {}
        for place, source in enumerate(self.image.bands):
            by_path.setdefault(source.path, []).append(place)
        return [
            (GridSource(
                path, tuple(self.image.bands[n].index for n in places), grid,
                self._nodata_value(open_raster(path)), self._eight_bit),
             places) for path, places in by_path.items()
        ]

    @property
    def _eight_bit(self) -> bool:
        return self.sensor is not None and \
            self.sensor.unit is Unit.DIGITAL_NUMBER_8BIT

    def read_raw(self, grid: MapGrid) -> tuple[np.ndarray, np.ndarray]:
        """All of another grid in file values, for pictures."""
        return read_sources(self.sources(grid), (0, 0, *grid.shape))

    def _read_inside(self, dataset: Any, window: Window
                     ) -> tuple[np.ndarray, np.ndarray]:
        place = (round(window.row_off), round(window.col_off),
                 round(window.height), round(window.width))
        values, valid = read_sources(self.sources(self.map_grid), place)
        if self.image.mask is not None:
            source = self.image.mask.source
            classes, known = GridSource(
                source.path, (source.index, ), self.map_grid,
                categories=True).read(place)
            valid &= known & ~np.isin(classes[0], self.image.mask.hidden)
        if self.area is not None:
            valid &= self.area.mask(*place)
        return values, valid

    def __repr__(self) -> str:
        return f'ImageReader({self.image.label!r}, {self.image.sensor!r})'


def read_sources(sources: Sequence[tuple[GridSource, list[int]]],
                 window: tuple[int, int, int, int]
                 ) -> tuple[np.ndarray, np.ndarray]:
    """Read a window of several files into one array.

    Returns:
        Values (C, H, W), and bool (H, W), True where all files are measured.
    """
    parts: dict[int, np.ndarray] = {}
    valid = np.ones(window[2:], dtype=bool)
    for source, places in sources:
        values, measured = source.read(window)
        valid &= measured
        parts.update(zip(places, values, strict=True))
    return np.stack([parts[place] for place in range(len(parts))]), valid


def _dtype(path: str, index: int) -> str:
    return open_raster(path).dtypes[index - 1]


class _GridView:
    """What readers and pictures ask of a dataset, answered by an image."""

    def __init__(self, reader: ImageReader) -> None:
        grid = reader.map_grid
        self._reader = reader
        self.shape = grid.shape
        self.height, self.width = grid.shape
        self.crs = grid.crs
        self.transform = grid.transform
        self.bounds = BoundingBox(*grid.bounds)
        self.dtypes = tuple(
            _dtype(source.path, source.index)
            for source in reader.image.bands)

    def tags(self) -> dict[str, str]:
        """Tags of the first band's file."""
        return dict(open_raster(self._reader.image.bands[0].path).tags())

    def read(self, indexes: Sequence[int], out_shape: tuple[int, ...],
             resampling: Any = None) -> np.ndarray:
        """Bands (C, H, W) on a coarser grid of the same extent."""
        height, width = out_shape[-2:]
        grid = self._reader.map_grid
        if not grid.has_place:
            raise RasterContractError(
                f'{grid.path}: bands in several files need georeference to be '
                'shown; georeference them')
        coarse = MapGrid(
            grid.crs,
            grid.transform * Affine.scale(self.width / width,
                                          self.height / height),
            (height, width), grid.path)
        values, _ = self._reader.read_raw(coarse)
        return values[[index - 1 for index in indexes]]


class MosaicReader(ImageReader):
    """Reads images of one day, such as neighbouring tiles, as one.

    Where several are measured the first one counts.

    Args:
        images: Of one sensor.
        grid: The grid of the map.
        area: Pixels of ``grid`` that count; None means all.
        check: Whether values are checked for the sensor's unit and range.
    """

    def __init__(self,
                 images: Sequence[InputImage],
                 grid: MapGrid,
                 area: AreaOnGrid | None = None,
                 check: bool = True) -> None:
        super().__init__(images[0], grid, area, check)
        self.parts = [ImageReader(i, grid, area, check) for i in images]

    def check_contract(self) -> MosaicReader:
        """Check bands, data type and unit of every image."""
        for part in self.parts:
            ImageReader(part.image, check=part.check).check_contract()
        return self

    def read(self, window: WindowLike = None,
             fill: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`RasterReader.read`."""
        return _first_measured(part.read(window, fill) for part in self.parts)

    def read_raw(self, grid: MapGrid) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`ImageReader.read_raw`."""
        return _first_measured(part.read_raw(grid) for part in self.parts)


def _first_measured(pairs: Iterable[tuple[np.ndarray, np.ndarray]]
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Values (C, H, W) and validity (H, W), from the first that has them."""
    pairs = iter(pairs)
    values, valid = next(pairs)
    for others, measured in pairs:
        if valid.all():
            break
        new = measured & ~valid
        values[:, new] = others[:, new]
        valid |= new
    return values, valid


def get_reader(images: InputImage | Sequence[InputImage],
               grid: MapGrid,
               area: AreaOnGrid | None = None) -> RasterReader:
    """The plain reader where it does, a gathering one elsewhere.

    Args:
        images: One acquisition, or neighbouring ones of one day.
        grid: The grid of the map.
        area: Pixels of ``grid`` that count.
    """
    if not isinstance(images, InputImage) and len(images) > 1:
        return MosaicReader(images, grid, area)
    image = images if isinstance(images, InputImage) else images[0]
    paths = {source.path for source in image.bands}
    own = grid_of_image(image)
    same = own.crs == grid.crs and own.transform == grid.transform \
        and own.shape == grid.shape
    if len(paths) == 1 and same and area is None and image.mask is None:
        return RasterReader(
            image.bands[0].path,
            None if image.sensor is None else get_sensor(image.sensor),
            bands=[source.index for source in image.bands],
            scale=image.scale, offset=image.offset, nodata=image.nodata)
    return ImageReader(image, grid, area)
