# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What people have (files, folders, catalogues) as images of a sensor."""

from .image import BandSource, InputImage, PixelMask

__all__ = ['BandSource', 'InputImage', 'PixelMask']
