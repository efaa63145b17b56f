# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""One file that holds all bands: a GeoTIFF, a VRT, a COG on a server."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence

from mmskysense.sensors import Sensor

from ..band_contract import RasterContractError
from ..open_files import open_raster
from ..reader import RasterReader
from .file_names import find_date
from .image import BandSource, InputImage


def file_date(path: str) -> datetime.date | None:
    """Day of acquisition by the file's metadata, or by its name.

    Read are the tag ``ACQUISITION_DATE`` and GDAL's ``IMAGERY`` domain
    (``ACQUISITIONDATETIME``). TIFF's own date is that of the file and is
    ignored.
    """
    dataset = open_raster(path)
    stated = (dataset.tags(ns='IMAGERY').get('ACQUISITIONDATETIME')
              or dataset.tags().get('ACQUISITION_DATE') or '')
    return find_date(stated) or find_date(os.path.basename(path))


def from_raster_file(path: str,
                     sensor: Sensor | None,
                     bands: Sequence[str | int] | None = None) -> InputImage:
    """An image whose bands are all in one file.

    Args:
        path: Anything GDAL opens.
        sensor: Entry of the sensor table; None takes all bands.
        bands: Which band is which, see :class:`RasterReader`.

    Raises:
        RasterContractError: Not a raster, or not the sensor's bands.
    """
    dataset = open_raster(path)
    if dataset.count == 0:
        inside = ', '.join(dataset.subdatasets[:4]) or 'nothing'
        raise RasterContractError(
            f'{path}: expected a raster with bands, found a container of '
            f'{inside}; name one of them as the input')
    # Which bands, not yet whether their values suit the sensor: a scale that
    # is given for the image is known when it is read, and checked there.
    numbers = RasterReader(path, sensor, bands, scale=1.0).indexes
    names = sensor.band_names if sensor else (None, ) * len(numbers)
    return InputImage(
        sensor=sensor.name if sensor else None,
        date=file_date(path),
        bands=tuple(
            BandSource(path, number, name)
            for number, name in zip(numbers, names, strict=True)),
        name=path)
