# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Load all sensors and dates of one tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

import numpy as np
from mmcv.transforms import BaseTransform

from mmskysense.raster.band_contract import (
    Grid,
    RasterContractError,
    check_alignment,
)
from mmskysense.raster.location import centre_location
from mmskysense.raster.raster_cache import DecodedRaster, RasterCache
from mmskysense.raster.reader import RasterReader
from mmskysense.registry import TRANSFORMS
from mmskysense.sensors import get_sensors

_Readable: TypeAlias = RasterReader | DecodedRaster


def day_of_year(day: str | None) -> int:
    """Day of year 1..366 of an ISO date, 0 where the date is unknown.

    Raises:
        ValueError: Not a date in the form YYYY-MM-DD.
    """
    if not day:
        return 0
    try:
        return date.fromisoformat(day[:10]).timetuple().tm_yday
    except ValueError:
        raise ValueError(f"'{day}' is not a date, expected YYYY-MM-DD or "
                         'null in the index') from None


@TRANSFORMS.register_module()
class LoadMultiSensorTile(BaseTransform):
    """Load a tile's rasters, by sensor and date.

    Required keys: ``paths``, sensor -> list of files, one for each date (an
    absent or empty list is a missing sensor), and ``acquired``, sensor ->
    list of ISO dates or None.

    Added keys, each a dict with every sensor of ``sensors``:

    - images: float32 (T, C, H, W) in file units, 0 where not measured; T may
      be 0 (then H = W = 1).
    - valid: bool (T, H, W).
    - dates: int64 (T,), day of year 1..366, 0 = unknown, in order of time.
    - crs, transform: of the first date; None for a missing sensor.

    And, of the tile: tile_grid, the :class:`Grid` of its first raster; and
    location, float32 (2,), longitude and latitude of its centre in degrees
    (WGS 84): what the index says under ``location``, else by the raster's
    georeference, else NaN.

    For labels also: img_shape and ori_shape, (H, W) of ``label_sensor``;
    img_grid, its :class:`Grid`, which labels must share; and valid_mask,
    uint8 (H, W), 1 where any date of any sensor of that size was measured.

    A tile of which no sensor measured a single pixel is refused, since it
    can teach nothing. Where only the dates that were drawn are empty, they
    are drawn again from those with a measured pixel (ours).

    Args:
        sensors: Names in the sensor table.
        num_dates: Sensor -> at most so many dates, a random subset when
            training and evenly spread ones otherwise; None or absent means
            all. A number holds for every sensor.
        random_dates: Whether the subset is random.
        label_sensor: The sensor whose grid the labels are on; the first of
            ``sensors`` by default.
        reader_options: Sensor -> options of ``RasterReader`` (``bands``,
            ``scale``, ``offset``, ``nodata``).
        allow_empty: Accept a tile without one measured pixel.
        cache_bytes: Keep decoded rasters in memory up to this bound, in each
            worker process on its own (0 keeps none). It pays where opening
            and decoding costs more than cutting views: archives of chips
            that are seen many times. 64 px RGB takes 12 KiB a tile.

    Raises:
        RasterContractError: A damaged file, sensors that do not cover the
            same ground, or nothing measured.
    """

    def __init__(
            self,
            sensors: Sequence[str],
            num_dates: int | Mapping[str, int | None] | None = None,
            random_dates: bool = True,
            label_sensor: str | None = None,
            reader_options: Mapping[str, Mapping[str, Any]] | None = None,
            allow_empty: bool = False,
            cache_bytes: int = 0) -> None:
        self.sensors = get_sensors(sensors)
        names = [sensor.name for sensor in self.sensors]
        if not isinstance(num_dates, Mapping):
            num_dates = dict.fromkeys(names, num_dates)
        self.num_dates = dict(num_dates)
        self.reader_options = dict(reader_options or {})
        for what, given in (('num_dates', self.num_dates),
                            ('reader_options', self.reader_options)):
            unknown = sorted(set(given) - set(names))
            if unknown:
                raise ValueError(f'LoadMultiSensorTile: {what} names '
                                 f'{unknown}, expected some of {names}')
        self.random_dates = random_dates
        self.allow_empty = allow_empty
        self.cache = RasterCache(cache_bytes)
        self.label_sensor = label_sensor or names[0]
        if self.label_sensor not in names:
            raise ValueError(f'LoadMultiSensorTile: label_sensor is '
                             f"'{label_sensor}', expected one of {names}")

    def _choose(self, count: int, limit: int | None) -> np.ndarray:
        """Indices of the dates to read, in order."""
        if limit is None or limit >= count:
            return np.arange(count)
        if self.random_dates:
            return np.sort(np.random.choice(count, limit, replace=False))
        return np.linspace(0, count - 1, limit).round().astype(int)

    def transform(self, results: dict) -> dict:
        """Read the files and add the keys above."""
        self._load(results)
        if not (self.allow_empty or _any_measured(results)):
            self._load(results, only_measured=True)
            if not _any_measured(results):
                raise RasterContractError(
                    f"{results.get('tile_id', 'tile')}: expected at least one "
                    'measured pixel, found only nodata in all files of '
                    f'{[s.name for s in self.sensors]}; leave the tile out of '
                    'the index, or pass allow_empty=True')
        self._describe_label_grid(results)
        return results

    def _load(self, results: dict, only_measured: bool = False) -> None:
        """Read the dates that are drawn, of all or of those not empty."""
        for key in ('images', 'valid', 'dates', 'crs', 'transform'):
            results[key] = {}
        grids: list[Grid] = []
        for sensor in self.sensors:
            paths = list(results['paths'].get(sensor.name) or ())
            days = list(results['acquired'].get(sensor.name)
                        or [None] * len(paths))
            if len(days) != len(paths):
                raise RasterContractError(
                    f"{results.get('tile_id', 'tile')}: {len(paths)} files of"
                    f" '{sensor.name}' but {len(days)} dates; the index needs "
                    'one date (or null) for each file')
            readers = [
                self.cache.get(path, sensor,
                               self.reader_options.get(sensor.name, {}))
                for path in paths
            ]
            order = np.argsort([day or '' for day in days], kind='stable')
            if only_measured:
                measured = [i for i in order if readers[i].read()[1].any()]
                # An empty sensor stays: labels may be on its grid.
                order = np.array(measured if measured else order, dtype=int)
            order = order[self._choose(len(order),
                                       self.num_dates.get(sensor.name))]
            readers = [readers[i] for i in order]
            _check_one_grid(readers)
            first = len(grids)
            grids += [reader.grid for reader in readers]
            if sensor.name == self.label_sensor and readers:
                results['img_grid'] = grids[first]
            _read_dates(results, sensor.name, sensor.num_bands, readers)
            results['dates'][sensor.name] = np.array(
                [day_of_year(days[i]) for i in order], dtype=np.int64)
        check_alignment(grids)
        if not grids:
            raise RasterContractError(
                f"{results.get('tile_id', 'tile')}: expected a file of at "
                f"least one of {[s.name for s in self.sensors]}, found none; "
                'correct the index or the list of sensors')
        results['tile_grid'] = grids[0]
        if results.get('location') is None:
            results['location'] = np.array(
                centre_location(grids[0]), dtype=np.float32)

    def _describe_label_grid(self, results: dict) -> None:
        """Tell label transforms the size to expect, and what was measured."""
        if not len(results['valid'][self.label_sensor]):
            return
        shape = results['valid'][self.label_sensor].shape[1:]
        seen = [
            valid.any(axis=0) for valid in results['valid'].values()
            if len(valid) and valid.shape[1:] == shape
        ]
        results['img_shape'] = results['ori_shape'] = shape
        results['valid_mask'] = np.any(seen, axis=0).astype(np.uint8)
        if 'seg_fields' in results:
            results['seg_fields'].append('valid_mask')

    def __repr__(self) -> str:
        return (f'LoadMultiSensorTile({[s.name for s in self.sensors]}, '
                f'num_dates={self.num_dates})')


def _any_measured(results: dict) -> bool:
    """Whether any date of any sensor has a measured pixel."""
    return any(valid.any() for valid in results['valid'].values())


def _check_one_grid(readers: Sequence[_Readable]) -> None:
    for reader in readers[1:]:
        if reader.shape != readers[0].shape:
            raise RasterContractError(
                f'{reader.path}: expected the size of {readers[0].path} '
                f'{readers[0].shape}, found {reader.shape}; all dates of a '
                'sensor must be on one grid')


def _read_dates(results: dict, name: str, num_bands: int,
                readers: Sequence[_Readable]) -> None:
    if not readers:
        results['images'][name] = np.zeros((0, num_bands, 1, 1), np.float32)
        results['valid'][name] = np.zeros((0, 1, 1), bool)
        results['crs'][name] = results['transform'][name] = None
        return
    pairs = [reader.read() for reader in readers]
    results['images'][name] = np.stack([values for values, _ in pairs])
    results['valid'][name] = np.stack([valid for _, valid in pairs])
    results['crs'][name] = readers[0].crs
    results['transform'][name] = readers[0].transform
