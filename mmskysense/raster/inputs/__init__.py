# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What people have (files, folders, catalogues) as images of a sensor."""

from .area import AreaOfInterest, read_area
from .dates import DateRange, select_dates
from .image import BandSource, InputImage, PixelMask
from .open_input import open_input
from .remote import gdal_path, limit_waiting

__all__ = [
    'AreaOfInterest', 'BandSource', 'DateRange', 'InputImage', 'PixelMask',
    'gdal_path', 'limit_waiting', 'open_input', 'read_area',
    'select_dates'
]
