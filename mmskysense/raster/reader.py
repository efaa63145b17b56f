# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Reads rasters by sensor, for training and for prediction alike."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import rasterio
from mmengine.logging import print_log
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window

from mmskysense.sensors import Sensor, Unit, get_sensor

from .band_contract import (
    BRIGHTEST_8BIT,
    Grid,
    check_brightness,
    check_dtype,
    check_values,
    select_bands,
)
from .open_files import damaged, open_raster

# Side of the blocks in which a whole file is looked through.
_BLOCK = 512
# Files whose implausible pixels this process has told of.
_TOLD: set[str] = set()

WindowLike: TypeAlias = Window | tuple[int, int, int, int] | None


class RasterReader:
    """Reads windows of one raster in the band order and unit of a sensor.

    The file is opened on first use, once per process and thread, so a reader
    can be pickled, sent to workers, or used on both sides of a fork.

    A pixel is measured (``valid``) unless the file's mask or alpha band hides
    it, or it holds the nodata value, NaN or infinity in any band. In 8-bit
    imagery the nodata value must fill all bands, since 0 or 255 in one band
    is also an ordinary colour (ours). Other imagery brought to 8 bits by
    ``scale`` saturates at 0 and 255.

    Args:
        path: Raster file; anything that rasterio opens, PNG and JPEG too.
        sensor: Name in the sensor table, a :class:`Sensor`, or None to read
            all bands as they are, without checks.
        bands: Which band is which, where the file does not say or is wrong:
            names of all its bands in file order, or 1-based band numbers in
            the order of the sensor.
        scale: File values are multiplied by this to reach the sensor's unit;
            ``'decibel'`` means 10 * log10(value) of linear power.
        offset: Added after ``scale``.
        nodata: Value that means "no measurement", in file values; replaces
            the one in the file and the sensor's default.
        check: Whether values are checked for the sensor's unit and range.

    Raises:
        RasterContractError: On first use, if the file is missing, empty,
            not a raster, or contradicts the sensor table.
    """

    def __init__(self,
                 path: str | os.PathLike,
                 sensor: str | Sensor | None = None,
                 bands: Sequence[str | int] | None = None,
                 scale: float | str | None = None,
                 offset: float | None = None,
                 nodata: float | None = None,
                 check: bool = True) -> None:
        self.path = os.fspath(path)
        self.sensor = get_sensor(sensor) if isinstance(sensor, str) else sensor
        if isinstance(scale, str) and scale != 'decibel':
            raise ValueError(f"scale must be a number or 'decibel', found "
                             f"'{scale}'")
        self.bands = None if bands is None else tuple(bands)
        self.scale, self.offset = scale, offset
        self.nodata = nodata
        self.check = check
        self._indexes: tuple[int, ...] | None = None

    @property
    def dataset(self) -> rasterio.DatasetReader:
        """This thread's open rasterio dataset (owned by the cache)."""
        return open_raster(self.path)

    @property
    def indexes(self) -> tuple[int, ...]:
        """1-based numbers of the bands that are read, in sensor order."""
        if self._indexes is None:
            dataset = self.dataset
            colours = [colour.name for colour in dataset.colorinterp]
            if self.sensor is None:
                self._indexes = tuple(
                    n for n, colour in enumerate(colours, 1)
                    if colour != 'alpha')
                if self.bands is not None:
                    self._indexes = tuple(int(b) for b in self.bands)
            else:
                self._indexes = select_bands(self.path, self.sensor,
                                             dataset.descriptions, colours,
                                             self.bands)
                check_dtype(
                    self.path, self.sensor,
                    dataset.dtypes[self._indexes[0] - 1],
                    self.scale is not None or self.offset is not None)
        return self._indexes

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.dataset.shape

    @property
    def crs(self) -> Any:
        """Coordinate reference system (rasterio CRS) or None."""
        return self.dataset.crs

    @property
    def transform(self) -> Any:
        """Affine from pixel (column, row) to CRS coordinates."""
        return self.dataset.transform

    @property
    def dtype(self) -> str:
        """NumPy name of the file's data type (of the bands read)."""
        return self.dataset.dtypes[self.indexes[0] - 1]

    @property
    def grid(self) -> Grid:
        """Where the pixels lie, for :func:`check_alignment`."""
        dataset = self.dataset
        affine = dataset.transform
        bounds = dataset.bounds
        return Grid(
            self.path, dataset.crs,
            (bounds.left, bounds.bottom, bounds.right, bounds.top),
            (math.hypot(affine.a, affine.d), math.hypot(affine.b, affine.e)),
            dataset.shape,
            dataset.crs is not None or not affine.is_identity)

    def tags(self) -> dict[str, str]:
        """The file's metadata tags."""
        return dict(self.dataset.tags())

    def check_contract(self) -> RasterReader:
        """Open the file and check bands, data type and unit.

        For reflectance without ``scale`` and ``offset`` it reads until the
        first block brighter than 8 bits can be, in most files one block: a
        file without any is refused, see :func:`check_brightness`.
        """
        if len(self.indexes) and self.sensor is not None and self.check \
                and self.sensor.unit is Unit.REFLECTANCE_X10000 \
                and self.scale is None and self.offset is None:
            self._check_brightness(self.sensor)
        return self

    def _check_brightness(self, sensor: Sensor) -> None:
        dataset = self.dataset
        height, width = dataset.shape
        corners = [(row, column) for row in range(0, height, _BLOCK)
                   for column in range(0, width, _BLOCK)]
        # The middle first: the rim of a scene is often not measured.
        middle = len(corners) // 2
        count, most = 0, -math.inf
        for row, column in corners[middle:] + corners[:middle]:
            inside = Window(column, row, min(_BLOCK, width - column),
                            min(_BLOCK, height - row))
            raw, mask = self._read_inside(dataset, inside)
            if not mask.any():
                continue
            count += int(mask.sum())
            most = max(most, float(raw[:, mask].max()))
            if most > BRIGHTEST_8BIT:
                return
        check_brightness(self.path, sensor, count, most, self.dtype)

    def read(self,
             window: WindowLike = None,
             fill: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, which may reach beyond the raster.

        Args:
            window: rasterio Window or (row, column, height, width); None
                reads everything. Parts outside the raster are filled and
                invalid.
            fill: Value of pixels that were not measured.

        Returns:
            ``values`` float32 (C, H, W) in sensor band order and unit, and
            ``valid`` bool (H, W), True where measured.

        Raises:
            RasterContractError: The file is damaged, or its values are not
                in the sensor's unit.
        """
        # Each access of self.dataset asks the file system whether the file
        # was rewritten: once a read is enough.
        dataset = self.dataset
        inside, place, shape = self._clip(window, dataset.shape)
        count = len(self.indexes)
        values = np.full((count, *shape), fill, dtype=np.float32)
        valid = np.zeros(shape, dtype=bool)
        if inside is None:
            return values, valid
        raw, mask = self._read_inside(dataset, inside)
        data, mask = self._to_unit(raw, mask)
        if self.sensor is not None and self.check:
            plausible = check_values(self.path, self.sensor, data, mask,
                                     dataset.dtypes[self.indexes[0] - 1])
            if self.sensor.unit is Unit.DIGITAL_NUMBER_8BIT:
                # Only scale= and offset= lead here. A roof brighter than
                # white was measured: it saturates, as in any 8-bit product.
                np.clip(data, *self.sensor.valid_range, out=data)
            else:
                self._tell_outliers(data, mask, plausible)
                mask = plausible
        values[:, place[0], place[1]] = np.where(mask, data, fill)
        valid[place] = mask
        return values, valid

    def _tell_outliers(self, data: np.ndarray, measured: np.ndarray,
                       plausible: np.ndarray) -> None:
        """Say once per file and process which pixels are left out."""
        outside = measured & ~plausible
        if self.sensor is None or self.path in _TOLD or not outside.any():
            return
        _TOLD.add(self.path)
        low, high = self.sensor.valid_range
        values = data[:, outside]
        values = values[(values < low) | (values > high)]
        share = 100 * outside.sum() / measured.sum()
        print_log(
            f'{self.path}: {outside.sum()} of {measured.sum()} measured '
            f'pixels ({share:.3g} %) of a window hold values '
            f'({values.min():.6g} to {values.max():.6g}) outside {low:g} to '
            f'{high:g} ({self.sensor.unit.value}) and count as not measured, '
            'as in further windows of this file; pass nodata= if they mean '
            'no measurement, or scale= and offset=', 'current',
            logging.WARNING)

    def _clip(
        self, window: WindowLike, size: tuple[int, int]
    ) -> tuple[Window | None, tuple[slice, slice], tuple[int, int]]:
        """Split a window into its part inside and that part's place."""
        height, width = size
        if window is None:
            top, left, shape = 0, 0, (height, width)
        elif isinstance(window, tuple):
            top, left, shape = window[0], window[1], window[2:]
        else:
            top, left = round(window.row_off), round(window.col_off)
            shape = (round(window.height), round(window.width))
        y0, y1 = max(top, 0), min(top + shape[0], height)
        x0, x1 = max(left, 0), min(left + shape[1], width)
        place = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        if y1 <= y0 or x1 <= x0:
            return None, place, shape
        return Window(x0, y0, x1 - x0, y1 - y0), place, shape

    def _read_inside(self, dataset: rasterio.DatasetReader,
                     window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Raw values (C, H, W) and validity (H, W) by mask and nodata."""
        indexes = list(self.indexes)
        flags = dataset.mask_flag_enums[indexes[0] - 1]
        masked = MaskFlags.per_dataset in flags or MaskFlags.alpha in flags
        try:
            raw = dataset.read(indexes, window=window)
            mask = np.ones(raw.shape[1:], dtype=bool)
            if masked or ColorInterp.alpha in dataset.colorinterp:
                mask &= dataset.dataset_mask(window=window) > 0
        except (RasterioError, OSError) as error:
            raise damaged(dataset, self.path, error) from error
        nodata = self._nodata_value(dataset)
        if nodata is not None:
            missing = np.isnan(raw) if math.isnan(nodata) else (
                raw == np.asarray(nodata).astype(raw.dtype)
                if raw.dtype.kind == 'f' else raw == nodata)
            mask &= ~self._combine(missing)
        if raw.dtype.kind == 'f':
            mask &= np.isfinite(raw).all(axis=0)
        return raw, mask

    def _nodata_value(self,
                      dataset: rasterio.DatasetReader) -> float | None:
        if self.nodata is not None:
            return self.nodata
        if dataset.nodata is not None:
            return dataset.nodata
        return None if self.sensor is None else self.sensor.nodata

    def _combine(self, missing: np.ndarray) -> np.ndarray:
        """Pixels that are not measured, from per-band nodata (C, H, W)."""
        eight_bit = (
            self.sensor is not None
            and self.sensor.unit is Unit.DIGITAL_NUMBER_8BIT)
        if eight_bit:
            return missing.all(axis=0)
        return missing.any(axis=0)

    def _to_unit(self, raw: np.ndarray,
                 mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply scale and offset to the measured pixels, as float32."""
        # Working in float64 keeps scale * large integers exact to float32.
        if self.scale is None and self.offset is None:
            return np.where(mask, raw, 0).astype(np.float32), mask
        data = np.where(mask, raw, 0).astype(np.float64)
        if self.scale == 'decibel':
            mask = mask & (data > 0).all(axis=0)
            data = 10 * np.log10(np.where(mask, data, 1.0))
        elif self.scale is not None:
            data *= float(self.scale)
        if self.offset is not None:
            data += self.offset
        return data.astype(np.float32), mask

    def __repr__(self) -> str:
        name = None if self.sensor is None else self.sensor.name
        return f'RasterReader({self.path!r}, sensor={name!r})'
