# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What people have (files, folders, catalogues) as images of a sensor."""

from .area import AreaOfInterest, AreaOnGrid, read_area
from .dates import DateRange, by_day, select_dates
from .gather import MapInputs, gather_inputs
from .image import BandSource, InputImage, PixelMask
from .image_reader import ImageReader, MosaicReader, get_reader
from .map_grid import (
    MapGrid,
    grid_of,
    grid_of_image,
    grid_of_images,
    overlaps,
    requested_grid,
)
from .open_input import open_input
from .remote import gdal_path, limit_waiting
from .series import SeriesPicture, SeriesReader, check_sensors

__all__ = [
    'AreaOfInterest', 'AreaOnGrid', 'BandSource', 'DateRange', 'ImageReader',
    'InputImage', 'MapGrid', 'MapInputs', 'MosaicReader', 'PixelMask',
    'SeriesPicture', 'SeriesReader', 'by_day', 'check_sensors',
    'gather_inputs', 'gdal_path', 'get_reader', 'grid_of',
    'grid_of_image', 'grid_of_images', 'limit_waiting', 'open_input',
    'overlaps', 'read_area', 'requested_grid', 'select_dates'
]
