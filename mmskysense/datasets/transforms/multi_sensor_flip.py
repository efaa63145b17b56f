# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A chosen flip of all sensors, for test-time augmentation."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmskysense.registry import TRANSFORMS

_AXES = {'horizontal': -1, 'vertical': -2}


@TRANSFORMS.register_module()
class MultiSensorFlip(BaseTransform):
    """Flip all sensors of a sample, or none, and say so in its meta data.

    The keys ``flip`` and ``flip_direction`` are those by which mmseg turns
    its logits back. Labels move along. Arrays and dicts of the input are
    left as they are: ``TestTimeAug`` hands the same ones to every view.

    Args:
        direction: ``'horizontal'``, ``'vertical'``, or None for no flip.

    Raises:
        ValueError: Another direction.
    """

    def __init__(self, direction: str | None = None) -> None:
        if direction is not None and direction not in _AXES:
            raise ValueError(f"MultiSensorFlip: direction='{direction}': "
                             f'expected one of {sorted(_AXES)} or None')
        self.direction = direction

    def transform(self, results: dict) -> dict:
        """Flip images (T, C, H, W), validity (T, H, W) and labels (H, W)."""
        results = dict(results, flip=self.direction is not None,
                       flip_direction=self.direction)
        if self.direction is None:
            return results
        axis = _AXES[self.direction]
        for field in ('images', 'valid'):
            results[field] = {
                name: np.flip(array, axis)
                for name, array in results[field].items()
            }
        for key in ('gt_seg_map', 'valid_mask'):
            if key in results:
                results[key] = np.flip(results[key], axis)
        return results

    def __repr__(self) -> str:
        return f'MultiSensorFlip(direction={self.direction!r})'
