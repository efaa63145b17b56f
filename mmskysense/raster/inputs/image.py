# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""One acquisition of one sensor, wherever its bands are stored."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass(frozen=True)
class BandSource:
    """One band of one file.

    Args:
        path: Anything GDAL opens, remote files as ``/vsicurl/https://...``.
        index: 1-based number of the band in the file.
        name: The sensor's name of the band, e.g. ``'B8A'``; None where all
            bands are read as they are.
    """

    path: str
    index: int
    name: str | None = None


@dataclass(frozen=True)
class PixelMask:
    """A band whose values say which pixels must not be used.

    Args:
        source: The band, on any grid; e.g. Sentinel-2's scene classification
            at 20 m. It is resampled with nearest neighbour.
        hidden: Values of pixels that count as not measured.
    """

    source: BandSource
    hidden: tuple[int, ...]


@dataclass(frozen=True)
class InputImage:
    """One acquisition of one sensor.

    The bands may lie in several files of different resolution, on different
    grids. File values become the sensor's unit as
    ``value * scale + offset``, after ``nodata`` was compared with the file's
    values.

    Args:
        sensor: Name in the sensor table, or None: all bands as they are.
        date: Day of acquisition (UTC), None where unknown.
        bands: One for each band of the sensor, in the sensor's order.
        scale: Factor to the sensor's unit, ``'decibel'`` for linear power,
            None for none.
        offset: Added after ``scale``, None for none.
        nodata: File value that means no measurement; None leaves it to the
            file and the sensor table.
        mask: Clouds and the like, None where there is none or it is unused.
        name: What messages call the image, e.g. the scene's folder.
    """

    sensor: str | None
    date: datetime.date | None
    bands: tuple[BandSource, ...]
    scale: float | str | None = None
    offset: float | None = None
    nodata: float | None = None
    mask: PixelMask | None = None
    name: str = ''

    def __post_init__(self) -> None:
        if not self.bands:
            raise ValueError(f'{self.name or "image"}: expected at least one '
                             'band, found none')

    @property
    def label(self) -> str:
        """What messages call the image."""
        return self.name or self.bands[0].path
