# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A folder: one file a band, one file a date, or both."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence

from mmskysense.sensors import Sensor

from ..band_contract import RasterContractError
from ..ground_size import pixel_metres
from ..open_files import open_raster
from .file_names import bands_named, find_date, resolution_named
from .image import BandSource, InputImage
from .raster_file import from_raster_file

RASTER_SUFFIXES = ('.tif', '.tiff', '.jp2', '.vrt', '.img', '.png')


def list_rasters(folder: str) -> list[str]:
    """Raster files of a folder, by suffix, sorted; hidden ones left out.

    Raises:
        RasterContractError: There is none.
    """
    names = sorted(os.listdir(folder))
    paths = [
        os.path.join(folder, name) for name in names
        if name.lower().endswith(RASTER_SUFFIXES) and name[0] != '.'
    ]
    if not paths:
        listed = ', '.join(names[:5]) or 'nothing'
        raise RasterContractError(
            f'{folder}: expected raster files ({", ".join(RASTER_SUFFIXES)}) '
            f'or a Sentinel-2 product, found {listed}')
    return paths


def from_folder(folder: str,
                sensor: Sensor | None,
                bands: Sequence[str | int] | None = None) -> list[InputImage]:
    """Images in a folder of raster files.

    Files whose names hold a band of the sensor are single bands; those of
    one day (by the name) make one image. Where no name holds a band, each
    file is an image with all bands. Of a band that is there at several
    resolutions the finest is taken.

    Args:
        folder: A directory.
        sensor: Entry of the sensor table.
        bands: Passed on for files that hold all bands.

    Returns:
        By day.

    Raises:
        RasterContractError: A band is missing or there twice; a band's file
            holds several bands.
    """
    paths = list_rasters(folder)
    named = {} if sensor is None else {
        path: found
        for path in paths if (found := bands_named(path, sensor))
    }
    if sensor is None or not named or bands is not None:
        images = [from_raster_file(path, sensor, bands) for path in paths]
        return sorted(images, key=lambda i: i.date or datetime.date.min)
    by_day: dict[datetime.date | None, list[str]] = {}
    for path in named:
        by_day.setdefault(find_date(os.path.basename(path)), []).append(path)
    days = sorted(by_day, key=lambda day: day or datetime.date.min)
    return [_one_day(folder, sensor, day, by_day[day], paths) for day in days]


def _one_day(folder: str, sensor: Sensor, day: datetime.date | None,
             paths: Sequence[str], all_paths: Sequence[str]) -> InputImage:
    where = folder if day is None else f'{folder} ({day})'
    sources = []
    for band in sensor.bands:
        hits = [
            path for path in paths if bands_named(path, sensor) == [band]
        ]
        if not hits:
            listed = ', '.join(os.path.basename(path) for path in all_paths)
            raise RasterContractError(
                f"{where}: sensor '{sensor.name}' expects bands "
                f"{', '.join(sensor.band_names)}, but no file is named for "
                f"'{band.name}' (found {listed[:300]}); add the file, or "
                'choose another sensor')
        path = hits[0] if len(hits) == 1 else _finest(where, band.name, hits)
        sources.append(BandSource(path, _only_band(path), band.name))
    return InputImage(sensor.name, day, tuple(sources), name=where)


def _finest(where: str, band: str, paths: Sequence[str]) -> str:
    """Of one band's files the one with the smallest pixels."""
    sizes = {
        path: resolution_named(path) or pixel_metres(open_raster(path))
        for path in paths
    }
    best = min(sizes.values())
    chosen = [path for path in paths if sizes[path] == best]
    if len(chosen) > 1:
        names = ', '.join(os.path.basename(path) for path in chosen)
        raise RasterContractError(
            f"{where}: expected one file for band '{band}', found {names}; "
            'put the acquisitions into folders of their own, or days '
            '(YYYYMMDD) into the names')
    return chosen[0]


def _only_band(path: str) -> int:
    """Number of the one band of a file that is named for a band."""
    dataset = open_raster(path)
    numbers = [
        number for number, colour in enumerate(dataset.colorinterp, 1)
        if colour.name != 'alpha'
    ]
    if len(numbers) != 1:
        raise RasterContractError(
            f'{path}: its name is that of one band, expected one band in it, '
            f'found {len(numbers)}; rename it, or give the file itself as '
            'the input')
    return numbers[0]
