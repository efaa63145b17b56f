# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""GeoTIFFs of the sample world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.io import DatasetWriter

from .catalogue import IGNORE, ClassTable
from .window import CRS, Window


def open_raster(path: Path, window: Window, count: int, dtype: str,
                bands: tuple[str, ...] = (), nodata: float | None = None,
                classes: ClassTable | None = None,
                **tags: str) -> DatasetWriter:
    """Open a compressed GeoTIFF for writing, tiled if it is large enough.

    Args:
        path: Target; parent folders are made.
        window: Its place on the ground.
        count: Number of bands.
        dtype: NumPy name of the data type.
        bands: Band descriptions.
        nodata: Value that means "no measurement".
        classes: Classes of a label map, written as colour table and tag.
        **tags: Text for the file's metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = dict(driver='GTiff', width=window.width, height=window.height,
                   count=count, dtype=dtype, crs=CRS,
                   transform=window.transform, nodata=nodata,
                   compress='deflate')
    if dtype.startswith('float'):
        profile['predictor'] = 3
    elif classes is None:
        profile['predictor'] = 2
    if min(window.shape) >= 256:
        profile.update(tiled=True, blockxsize=256, blockysize=256)
    if count == 3 and dtype == 'uint8':
        profile['photometric'] = 'RGB'
    target = rasterio.open(path, 'w', **profile)
    for k, name in enumerate(bands, 1):
        target.set_band_description(k, name)
    if classes is not None:
        target.write_colormap(1, classes.colour_map())
        tags['CLASSES'] = ','.join(classes.names)
        tags['IGNORE'] = str(IGNORE)
    target.update_tags(**tags)
    return target


def write_raster(path: Path, array: np.ndarray, window: Window,
                 bands: tuple[str, ...] = (), nodata: float | None = None,
                 classes: ClassTable | None = None, **tags: str) -> None:
    """Write a whole array, (bands, H, W) or (H, W).

    The other arguments are those of :func:`open_raster`.
    """
    array = array[None] if array.ndim == 2 else array
    with open_raster(path, window, len(array), array.dtype.name, bands,
                     nodata, classes, **tags) as target:
        target.write(array)
