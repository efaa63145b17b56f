# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Load one raster of one sensor for a stock host pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmskysense.raster.band_contract import RasterContractError
from mmskysense.raster.reader import RasterReader
from mmskysense.registry import TRANSFORMS
from mmskysense.sensors import Unit, get_sensor


@TRANSFORMS.register_module()
class LoadGeoTIFF(BaseTransform):
    """Load ``results['img_path']`` in the band order and unit of a sensor.

    Takes the place of ``LoadImageFromFile`` in mmseg, mmdet and mmpretrain
    pipelines. Reads every format of rasterio, PNG and JPEG too.

    Pixels that were not measured hold the sensor's mean, so that they become
    0 when :class:`MultiSensorDataPreprocessor` normalises and no transform
    of a host has to know about them (ours). 8-bit imagery stays uint8, since
    the hosts' colour transforms need it; the fill is then the rounded mean.

    Added keys:

    - img: (H, W, C), channels in sensor order (R, G, B for ``hr_rgb``, not
      the hosts' B, G, R); uint8, or float32 in file units.
    - valid_mask: uint8 (H, W), 1 where measured. Every other value, such as
      the 255 with which mmseg pads, means not measured. It joins
      ``seg_fields`` where there are any, so mmseg's geometry moves it too.
    - img_shape, ori_shape: (H, W).
    - img_grid: the file's :class:`Grid`, which labels must share.

    Args:
        sensor: Name in the sensor table.
        bands: Names of all bands of the file in file order, or 1-based band
            numbers, where the file does not say (see ``RasterReader``).
        scale: File values are multiplied by this; ``'decibel'`` converts
            linear power.
        offset: Added after ``scale``.
        nodata: Value that means "no measurement".
        to_float32: Give float32 for 8-bit imagery too.
        allow_empty: Accept an image without one measured pixel. Refused by
            default, since it can teach nothing.

    Raises:
        RasterContractError: One line that names the file and the remedy.
    """

    def __init__(self,
                 sensor: str = 'hr_rgb',
                 bands: Sequence[str | int] | None = None,
                 scale: float | str | None = None,
                 offset: float | None = None,
                 nodata: float | None = None,
                 to_float32: bool = False,
                 allow_empty: bool = False) -> None:
        self.sensor = get_sensor(sensor)
        self.options: dict[str, Any] = dict(
            bands=bands, scale=scale, offset=offset, nodata=nodata)
        self.to_float32 = to_float32
        self.allow_empty = allow_empty

    def transform(self, results: dict) -> dict:
        """Read the file and add the keys above."""
        path = results['img_path']
        reader = RasterReader(path, self.sensor, **self.options)
        values, valid = reader.read()
        if not valid.any() and not self.allow_empty:
            raise RasterContractError(
                f'{path}: expected at least one measured pixel, found only '
                'nodata; leave the file out of the split, or pass '
                'allow_empty=True')
        if not valid.all():
            for band, mean in zip(values, self.sensor.mean, strict=True):
                band[~valid] = mean
        image = np.ascontiguousarray(values.transpose(1, 2, 0))
        if self.sensor.unit is Unit.DIGITAL_NUMBER_8BIT \
                and not self.to_float32:
            image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        results['img'] = image
        results['valid_mask'] = valid.astype(np.uint8)
        if 'seg_fields' in results:
            results['seg_fields'].append('valid_mask')
        results['img_shape'] = image.shape[:2]
        results['ori_shape'] = image.shape[:2]
        results['img_grid'] = reader.grid
        return results

    def __repr__(self) -> str:
        return f'LoadGeoTIFF(sensor={self.sensor.name!r}, {self.options})'
