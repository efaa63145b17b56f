# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Crop and flip all sensors of a sample, and its label, alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmskysense.registry import TRANSFORMS


def _grids(results: dict) -> list[tuple[int, int]]:
    """Sizes of the label and of every sensor that is there."""
    return [tuple(results['img_shape'])] + [
        tuple(images.shape[-2:])
        for images in results['images'].values() if len(images)
    ]


@TRANSFORMS.register_module()
class MultiSensorRandomCrop(BaseTransform):
    """Cut one random window of ground from all sensors and the label.

    Corners lie on pixel corners of every grid, so nothing is resampled.
    Needs what :class:`LoadMultiSensorTile` adds; a sample that is smaller
    than the crop stays as it is.

    Args:
        crop_size: Height and width in pixels of the label's grid.

    Raises:
        ValueError: The window has no whole number of pixels on some grid.
    """

    def __init__(self, crop_size: int | Sequence[int]) -> None:
        if isinstance(crop_size, int):
            crop_size = (crop_size, crop_size)
        self.crop_size = tuple(crop_size)

    def transform(self, results: dict) -> dict:
        """Cut the window."""
        grids = _grids(results)
        parts = []
        for axis in (0, 1):
            full = grids[0][axis]
            size = min(self.crop_size[axis], full)
            # Corners in steps that are whole pixels on every grid.
            step = full // math.gcd(*(grid[axis] for grid in grids))
            if size % step:
                raise ValueError(
                    f'MultiSensorRandomCrop: crop_size {self.crop_size} is no'
                    f' multiple of {step} pixels, the common step of grids '
                    f'{sorted(set(grids))}; choose a multiple')
            start = step * np.random.randint((full - size) // step + 1)
            parts.append((start, start + size, full))
        for field in ('images', 'valid'):
            for name, array in results[field].items():
                if len(array):
                    results[field][name] = _cut(array, parts)
        for key in ('gt_seg_map', 'valid_mask'):
            if key in results:
                results[key] = _cut(results[key], parts)
        results['img_shape'] = (parts[0][1] - parts[0][0],
                                parts[1][1] - parts[1][0])
        return results

    def __repr__(self) -> str:
        return f'MultiSensorRandomCrop(crop_size={self.crop_size})'


def _cut(array: np.ndarray,
         parts: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Cut (..., H, W) at fractions start / full to stop / full."""
    rows, columns = (
        slice(start * length // full, stop * length // full)
        for (start, stop, full), length in zip(
            parts, array.shape[-2:], strict=True))
    return array[..., rows, columns]


@TRANSFORMS.register_module()
class MultiSensorRandomFlip(BaseTransform):
    """Flip all sensors and the label, horizontally and vertically.

    Args:
        prob: Probability of each of the two flips.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in 0..1, found {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Flip in place of the unflipped arrays."""
        for axis in (-1, -2):
            if np.random.rand() >= self.prob:
                continue
            for field in ('images', 'valid'):
                for name, array in results[field].items():
                    results[field][name] = np.flip(array, axis)
            for key in ('gt_seg_map', 'valid_mask'):
                if key in results:
                    results[key] = np.flip(results[key], axis)
        return results

    def __repr__(self) -> str:
        return f'MultiSensorRandomFlip(prob={self.prob})'
