# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""GeoTIFFs of the sample world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio

from .catalogue import IGNORE, ClassTable
from .window import CRS, Window


def write_raster(path: Path, array: np.ndarray, window: Window,
                 bands: tuple[str, ...] = (), nodata: float | None = None,
                 classes: ClassTable | None = None, **tags: str) -> None:
    """Write a compressed GeoTIFF, tiled where it is large enough.

    Args:
        path: Target; parent folders are made.
        array: (bands, H, W) or (H, W).
        window: Its place on the ground.
        bands: Band descriptions.
        nodata: Value that means "no measurement".
        classes: Classes of a label map, written as colour table and tag.
        **tags: Text for the file's metadata.
    """
    array = array[None] if array.ndim == 2 else array
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = array.shape
    profile = dict(driver='GTiff', width=width, height=height, count=count,
                   dtype=array.dtype.name, crs=CRS,
                   transform=window.transform, nodata=nodata,
                   compress='deflate')
    if array.dtype.kind == 'f':
        profile['predictor'] = 3
    elif classes is None:
        profile['predictor'] = 2
    if min(height, width) >= 256:
        profile.update(tiled=True, blockxsize=256, blockysize=256)
    if count == 3 and array.dtype == np.uint8:
        profile['photometric'] = 'RGB'
    with rasterio.open(path, 'w', **profile) as target:
        target.write(array)
        for k, name in enumerate(bands, 1):
            target.set_band_description(k, name)
        if classes is not None:
            target.write_colormap(1, classes.colour_map())
            tags['CLASSES'] = ','.join(classes.names)
            tags['IGNORE'] = str(IGNORE)
        target.update_tags(**tags)
