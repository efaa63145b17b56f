# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Sensors published as one file for each band: read into one image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmskysense.raster.open_files import open_raster

from .errors import DataError
from .files import read_image, require_folder

_SUFFIXES = ('.tif', '.tiff', '.jp2')


@dataclass(frozen=True)
class BandStack:
    """Bands on one grid.

    Args:
        image: (C, H, W) in the data type of the files.
        crs: Of the grid, or None.
        transform: Of the grid, or None if it has no place on the ground.
    """

    image: np.ndarray
    crs: Any = None
    transform: Any = None


def find_bands(folder: Path, bands: Sequence[str],
               what: str = 'bands') -> list[Path]:
    """Files of a folder whose names end with a band's name.

    Args:
        folder: Holds one file a band, ``B02.tif`` or ``PATCH_B02.tif``.
        bands: Names, in the order wanted.
        what: What the folder holds, for the message.

    Returns:
        One file for each band, in order.

    Raises:
        DataError: No folder, or a band is missing or there twice.
    """
    require_folder(folder, what)
    names = [path for path in sorted(folder.iterdir())
             if path.suffix.lower() in _SUFFIXES]
    found = []
    for band in bands:
        pattern = re.compile(rf'(?:.*[_-])?{re.escape(band)}', re.I)
        hits = [path for path in names if pattern.fullmatch(path.stem)]
        if len(hits) != 1:
            raise DataError(
                folder, f"expected one file of band '{band}' among its {what}"
                f', found {len(hits)} ({len(names)} files of bands there)',
                'complete the download or remove the copy')
        found += hits
    return found


def read_bands(files: Sequence[Path], resample: bool = False,
               nodata: float = 0) -> BandStack:
    """Read one-band files onto the grid of the finest.

    Args:
        files: One for each band.
        resample: Whether coarser bands may be enlarged, bilinearly and by a
            whole factor; pixels that are not measured do not mix in.
        nodata: Value of pixels that were not measured.

    Returns:
        The bands in order of the files.

    Raises:
        DataError: Several bands in a file, or sizes that do not fit.

    Example:
        >>> enlarge(np.array([[1, 3]], np.uint16), (2, 4), 0).tolist()
        [[1, 2, 2, 3], [1, 2, 2, 3]]
    """
    images = []
    for path in files:
        image = read_image(path)
        if len(image) != 1:
            raise DataError(path, f'expected one band, found {len(image)}',
                            'download the file again')
        images.append(image[0])
    finest = max(range(len(files)), key=lambda n: images[n].size)
    shape = images[finest].shape
    for path, image in zip(files, images, strict=True):
        factors = [big / small for big, small in
                   zip(shape, image.shape, strict=True)]
        fits = factors[0] == factors[1] == int(factors[0])
        if not fits or (factors[0] != 1 and not resample):
            raise DataError(
                path, f'expected {"a whole part of " if resample else ""}the '
                f'size {shape} of {files[finest].name}, found {image.shape}',
                'the files are damaged or of several images')
    grid = open_raster(str(files[finest]))
    placed = grid.crs is not None or not grid.transform.is_identity
    return BandStack(
        np.stack([enlarge(image, shape, nodata) for image in images]),
        grid.crs, grid.transform if placed else None)


def enlarge(image: np.ndarray, shape: tuple[int, ...],
            nodata: float) -> np.ndarray:
    """Bilinear enlargement of (h, w) that knows what was measured.

    Pixel centres stay in place. Where the coarse pixel is ``nodata`` the
    result is too; elsewhere only measured pixels count.
    """
    if image.shape == tuple(shape):
        return image
    size = (shape[1], shape[0])
    measured = (image != nodata).astype(np.float32)
    total = cv2.resize(image.astype(np.float32) * measured, size,
                       interpolation=cv2.INTER_LINEAR)
    weight = cv2.resize(measured, size, interpolation=cv2.INTER_LINEAR)
    kept = cv2.resize(measured, size, interpolation=cv2.INTER_NEAREST) > 0
    values = total / np.maximum(weight, 1e-6)
    if image.dtype.kind != 'f':
        values = np.rint(values)
    return np.where(kept, values, nodata).astype(image.dtype)
