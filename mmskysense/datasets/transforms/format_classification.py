# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pack samples of several sensors for classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement

from mmskysense.registry import TRANSFORMS


def _cls_data_sample() -> Any:
    """A DataSample where mmpretrain is installed, its plain base otherwise."""
    try:
        from mmpretrain.structures import DataSample
    except ImportError:
        return BaseDataElement()
    return DataSample()


@TRANSFORMS.register_module()
class PackMultiSensorClsInputs(BaseTransform):
    """Pack a multi-sensor sample with the class or classes of the scene.

    Result: ``inputs`` = dict(images, valid, dates), each sensor -> tensor
    (float32 (T, C, H, W), bool (T, H, W), int64 (T,)); and ``data_samples``,
    mmpretrain's ``DataSample`` (``BaseDataElement`` without mmpretrain) with
    ``gt_label`` int64 (1,), or ``gt_score`` float32 (classes,) of a
    multi-label set, where the sample has them.

    Args:
        meta_keys: Keys of the sample to keep.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = ('tile_id', 'img_path', 'ori_shape',
                                    'img_shape')
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one sample."""
        sample = _cls_data_sample()
        if 'gt_label' in results:
            label = torch.as_tensor(results['gt_label'], dtype=torch.int64)
            sample.set_field(label.reshape(-1), 'gt_label', dtype=torch.Tensor)
        if 'gt_score' in results:
            score = torch.as_tensor(results['gt_score'], dtype=torch.float32)
            sample.set_field(score, 'gt_score', dtype=torch.Tensor)
        sample.set_metainfo({
            key: results[key]
            for key in self.meta_keys if key in results
        })
        inputs = {
            key: {
                sensor: torch.from_numpy(np.ascontiguousarray(array))
                for sensor, array in results[key].items()
            }
            for key in ('images', 'valid', 'dates')
        }
        return dict(inputs=inputs, data_samples=sample)

    def __repr__(self) -> str:
        return f'PackMultiSensorClsInputs(meta_keys={self.meta_keys})'
