# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Rasters as pictures of a page: colours, or values of 8 bits."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import Resampling

from mmskysense.raster.inputs import InputImage
from mmskysense.raster.open_files import open_raster
from mmskysense.sensors import get_sensor

from ..quick_look import stretch
from .frame import PageFrame, read_on_frame

#: Value of pixels without measurement in pictures that hold values.
NODATA = 255
_QUALITY = 85


def picture_of_image(image: InputImage, frame: PageFrame) -> bytes:
    """An input as a WebP picture, transparent where not measured.

    Args:
        image: One acquisition; its sensor says which bands are shown.
        frame: The page's grid.
    """
    shown, valid = [], np.ones(frame.shape, dtype=bool)
    for number in display_bands(image):
        source = image.bands[number]
        dataset = open_raster(source.path)
        values, measured = read_on_frame(
            dataset, source.index, frame, Resampling.average,
            _nodata(image, dataset))
        if image.scale == 'decibel':
            measured = measured & (values > 0)
            values = 10 * np.log10(np.where(measured, values, 1))
        shown.append(values)
        valid &= measured
    colours = stretch(np.stack(shown, axis=-1), valid)
    alpha = np.where(valid, 255, 0).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.dstack([colours, alpha])).save(
        stream, 'WEBP', quality=_QUALITY)
    return stream.getvalue()


def _nodata(image: InputImage, dataset: Any) -> float | None:
    """What readers take for "not measured"; 0 is also a colour in 8 bits."""
    if image.nodata is not None or dataset.nodata is not None:
        return dataset.nodata if image.nodata is None else image.nodata
    return None if image.sensor is None else get_sensor(image.sensor).nodata


def display_bands(image: InputImage) -> list[int]:
    """Places of the bands shown as red, green and blue."""
    if image.sensor is not None:
        sensor = get_sensor(image.sensor)
        if sensor.default_bands:
            return [sensor.band_index(name) for name in sensor.default_bands]
    return [0, 1, 2] if len(image.bands) >= 3 else [0, 0, 0]


def classes_of(path: str, frame: PageFrame) -> np.ndarray:
    """A class map on the page's grid: the most frequent class of each pixel.

    Returns:
        uint8 (H, W), 255 where there is no class.
    """
    with rasterio.open(path) as dataset:
        values, valid = read_on_frame(dataset, 1, frame, Resampling.mode)
    return np.where(valid, values, NODATA).astype(np.uint8)


def values_of(path: str, band: int, frame: PageFrame
              ) -> tuple[np.ndarray, dict[str, Any]]:
    """A band of numbers in 8 bits.

    Bands with a scale (as the writers of this package store them) span the
    whole range that their type can hold, so that colours mean the same on
    every page; others span what they hold.

    Args:
        path: Probabilities or uncertainty.
        band: 1-based number.
        frame: The page's grid.

    Returns:
        uint8 (H, W): 0 to 254, 255 where not measured; and what they mean:
        ``low`` and ``high`` (the numbers of 0 and 254), ``name``, ``unit``.
    """
    with rasterio.open(path) as dataset:
        raw, valid = read_on_frame(dataset, band, frame, Resampling.average)
        scale, offset = dataset.scales[band - 1], dataset.offsets[band - 1]
        kind = np.dtype(dataset.dtypes[band - 1])
        name = dataset.descriptions[band - 1] or f'band {band}'
        unit = dataset.units[band - 1] or ''
    numbers = raw.astype(np.float64) * scale + offset
    if kind.kind == 'u' and scale != 1:
        # The type's highest value is nodata.
        low, high = offset, (np.iinfo(kind).max - 1) * scale + offset
    elif valid.any():
        low, high = float(numbers[valid].min()), float(numbers[valid].max())
    else:
        low, high = 0.0, 1.0
    span = (high - low) or 1.0
    eight = np.clip(np.rint((numbers - low) / span * 254), 0, 254)
    values = np.where(valid, np.nan_to_num(eight), NODATA).astype(np.uint8)
    return values, dict(low=low, high=high, name=name, unit=unit)


def as_data_url(values: np.ndarray) -> str:
    """uint8 (H, W) as a lossless ``data:`` address.

    Of pictures that lie in files beside it, a page that is opened from a
    disk may not read the pixels; of these it may.
    """
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, 'PNG', optimize=True)
    return 'data:image/png;base64,' + base64.b64encode(
        stream.getvalue()).decode()
