# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Bring all images of a scene to one size, for classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform

from mmskysense.registry import TRANSFORMS
from mmskysense.sensors import get_sensor


@TRANSFORMS.register_module()
class MultiSensorResize(BaseTransform):
    """Resize every sensor's series to a fixed height and width.

    For scenes that differ in size, such as fMoW-Sentinel's, so that a batch
    needs no padding, which would count in the average over a scene.
    Bilinear, with a low-pass filter when shrinking; only measured pixels
    count, and a pixel whose nearest neighbour was not measured stays so.
    Needs what :class:`LoadMultiSensorTile` adds; a label map is refused,
    since its classes have no means.

    Args:
        size: Height and width in pixels, one number for a square; or sensor
            -> such a size, sensors that are left out stay as they are.

    Raises:
        KeyError: Unknown sensor.
        ValueError: A size below 1, or a label map.
    """

    def __init__(self, size: int | Sequence[int] |
                 Mapping[str, int | Sequence[int]]) -> None:
        self.sizes: dict[str, tuple[int, int]] | None = None
        self.size = (0, 0)
        if isinstance(size, Mapping):
            self.sizes = {get_sensor(name).name: _pair(value)
                          for name, value in size.items()}
        else:
            self.size = _pair(size)

    def transform(self, results: dict) -> dict:
        """Resize images and their validity."""
        if 'gt_seg_map' in results:
            raise ValueError('MultiSensorResize: found a label map, expected '
                             'a sample of classification; cut such samples '
                             'with MultiSensorRandomCrop')
        before = results.get('img_shape')
        for name, images in results['images'].items():
            size = self.size if self.sizes is None else self.sizes.get(name)
            if size is None or not len(images) or images.shape[-2:] == size:
                continue
            if before is not None and tuple(before) == images.shape[-2:]:
                results['img_shape'] = size
            results['images'][name], results['valid'][name] = _resize(
                images, results['valid'][name], size)
        # Of the grid before, and of use to label maps only.
        results.pop('valid_mask', None)
        return results

    def __repr__(self) -> str:
        return f'MultiSensorResize(size={self.sizes or self.size})'


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f'MultiSensorResize: size={size}, expected at least '
                         '1 pixel')
    return int(height), int(width)


def _resize(images: np.ndarray, valid: np.ndarray,
            size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(T, C, H, W) and (T, H, W) to ``size``; 0 where not measured."""
    mask = torch.from_numpy(np.ascontiguousarray(valid)).float()[:, None]
    values = torch.from_numpy(np.ascontiguousarray(images)) * mask

    def smooth(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, size, mode='bilinear', align_corners=False,
                             antialias=True)

    weights = smooth(mask)
    kept = F.interpolate(mask, size, mode='nearest-exact') > 0
    kept &= weights > 1e-3
    resized = torch.where(kept, smooth(values) / weights.clamp(min=1e-3), 0.0)
    return resized.numpy(), kept[:, 0].numpy()
