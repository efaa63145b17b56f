# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""One entry for everything people have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from mmskysense.sensors import Sensor, get_sensor

from ..band_contract import RasterContractError
from ..open_files import is_remote
from .band_folder import from_folder
from .dates import DateRange, select_dates
from .image import InputImage
from .raster_file import from_raster_file
from .remote import DEFAULT_TIMEOUT, gdal_path, limit_waiting
from .safe import METADATA, from_safe, is_safe
from .stac import from_stac, looks_like_stac


def open_input(spec: str | os.PathLike,
               sensor: str | Sensor | None = None,
               *,
               bands: Sequence[str | int] | None = None,
               scale: float | str | None = None,
               offset: float | None = None,
               nodata: float | None = None,
               dates: DateRange | str | None = None,
               mask_clouds: bool = False,
               timeout: float = DEFAULT_TIMEOUT) -> list[InputImage]:
    """Recognise an input and list its images.

    ======================================  ==============================
    a file, ``/vsi...`` or ``https://...``  one image
    Sentinel-2 ``.SAFE``, or its ZIP        one image
    folder of ``.SAFE`` products            one image a product
    folder of files                         single bands by name, one image
                                            a day; else one image a file
    STAC item, item collection              one image an item
    ======================================  ==============================

    Args:
        spec: Path or address.
        sensor: Name in the sensor table, or a :class:`Sensor`; None (all
            bands as they are) only for files.
        bands: Which band is which, for files that hold several.
        scale: Factor to the sensor's unit; given, it replaces scale and
            offset that the format states.
        offset: Added after ``scale``; likewise.
        nodata: Value that means no measurement, in file values.
        dates: Keep images of these days, e.g. ``'2021-04-01/2021-09-30'``.
        mask_clouds: Clouds and their shadows count as not measured; needs
            Sentinel-2's scene classification.
        timeout: Seconds without a byte before a server counts as gone; see
            :func:`limit_waiting`.

    Returns:
        At least one image, by day.

    Raises:
        RasterContractError: Nothing that can be read as the sensor.
        KeyError: Unknown sensor.
        ValueError: A malformed option.

    Example:
        >>> from mmskysense.raster.inputs import DateRange
        >>> import datetime
        >>> datetime.date(2021, 6, 1) in DateRange.parse('2021-04-01/..')
        True
    """
    path = os.fspath(spec)
    entry = get_sensor(sensor) if isinstance(sensor, str) else sensor
    if isinstance(dates, str):
        dates = DateRange.parse(dates)
    if is_remote(path):
        limit_waiting(timeout)
    images = _images(path, entry, bands, mask_clouds, timeout)
    if mask_clouds and any(image.mask is None for image in images):
        raise RasterContractError(
            f'{path}: masking clouds needs a Sentinel-2 product (.SAFE) or a '
            "STAC item with an asset 'scl'; leave clouds in")
    if dates is not None:
        images = select_dates(images, dates)
    if scale is not None or offset is not None:
        images = [replace(i, scale=scale, offset=offset) for i in images]
    if nodata is not None:
        images = [replace(i, nodata=nodata) for i in images]
    return images


def _images(path: str, sensor: Sensor | None,
            bands: Sequence[str | int] | None, mask_clouds: bool,
            timeout: float) -> list[InputImage]:
    if os.path.basename(path) == METADATA and os.path.isfile(path):
        path = os.path.dirname(os.path.abspath(path))
    if is_safe(path):
        return [from_safe(path, _needed(path, sensor), mask_clouds)]
    if looks_like_stac(path):
        limit_waiting(timeout)
        return from_stac(path, _needed(path, sensor), mask_clouds, timeout)
    if os.path.isdir(path):
        products = sorted(
            os.path.join(path, name) for name in os.listdir(path)
            if name[0] != '.' and is_safe(os.path.join(path, name)))
        if products:
            images = [
                from_safe(product, _needed(path, sensor), mask_clouds)
                for product in products
            ]
            return sorted(images, key=lambda image: str(image.date))
        return from_folder(path, sensor, bands)
    return [from_raster_file(gdal_path(path), sensor, bands)]


def _needed(path: str, sensor: Sensor | None) -> Sensor:
    if sensor is None:
        raise ValueError(
            f'{path}: several files are one image here, so the sensor must '
            'be known; pass sensor=, e.g. s2_l2a')
    return sensor
