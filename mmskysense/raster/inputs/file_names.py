# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What the names of files say: the band and the day."""

from __future__ import annotations

import datetime
import re

from mmskysense.sensors import Band, Sensor

# 20210401, 2021-04-01 and 2021_04_01, also before a time (T100031).
_DAY = re.compile(r'(?<!\d)((?:19|20)\d\d)([-_]?)(0[1-9]|1[0-2])\2'
                  r'(0[1-9]|[12]\d|3[01])(?!\d)')
# _10m and _0.5m, at the end of the name or before a separator.
_RESOLUTION = re.compile(r'(?:^|[\s_\-])(\d+(?:\.\d+)?)m(?=$|[\s_.\-])',
                         re.IGNORECASE)
_SEPARATORS = re.compile(r'[\s_.\-]+')


def find_date(name: str) -> datetime.date | None:
    """First day that a file name holds.

    The first, since products name the start of the acquisition before its
    end and before the day of processing.

    Args:
        name: Such as ``'T32TQM_20210401T100031_B02_10m.jp2'``.

    Returns:
        The day, or None where there is none.
    """
    for match in _DAY.finditer(name):
        try:
            return datetime.date(
                int(match[1]), int(match[3]), int(match[4]))
        except ValueError:  # the 31st of February is no day
            continue
    return None


def name_parts(name: str) -> list[str]:
    """A file name without folder and suffix, cut at ``_``, ``-``, ``.``."""
    stem = name.replace('\\', '/').rpartition('/')[2]
    for suffix in ('.tif', '.tiff', '.jp2', '.vrt', '.img', '.png'):
        if stem.lower().endswith(suffix):
            stem = stem[:-len(suffix)]
    return [part for part in _SEPARATORS.split(stem) if part]


def bands_named(name: str, sensor: Sensor) -> list[Band]:
    """Bands of a sensor that a file name mentions.

    Args:
        name: File name, e.g. ``'S2A_20170613_B8A.tif'``.
        sensor: Whose bands are looked for.

    Returns:
        In sensor order; a name that holds the provider's spelling of one
        band (``B8A``) and the colour of another (``nir``) means the former.
    """
    parts = name_parts(name)
    exact = [
        band for band in sensor.bands
        if any(part.lower() == band.name.lower() for part in parts)
    ]
    return exact or [
        band for band in sensor.bands
        if any(band.is_named(part) for part in parts)
    ]


def resolution_named(name: str) -> float | None:
    """Pixel size in metres that a file name states (``_10m``), or None."""
    found = _RESOLUTION.findall(name.replace('\\', '/').rpartition('/')[2])
    return float(found[-1]) if found else None
