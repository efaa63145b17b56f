# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pack samples for the data preprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement, PixelData

from mmskysense.registry import TRANSFORMS


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(np.ascontiguousarray(array))
        for name, array in arrays.items()
    }


def _metainfo(results: dict, keys: Sequence[str]) -> dict[str, Any]:
    return {key: results[key] for key in keys if key in results}


def _whole_tile(results: dict) -> dict[str, Any]:
    """The view that shows all of a tile."""
    view = {key: results[key] for key in ('images', 'valid', 'dates')}
    view['box'] = np.array([0, 0, 1, 1], dtype=np.float32)
    view['flip'] = np.zeros(2, dtype=bool)
    if 'location' in results:
        view['location'] = results['location']
    return view


@TRANSFORMS.register_module()
class PackPretrainInputs(BaseTransform):
    """Pack the views of a tile for self-supervised pre-training.

    Result: ``inputs`` = dict(global=[view, ...], local=[view, ...]), each
    view a dict as :class:`MultiCropViews` describes, with tensors; and
    ``data_samples``, a ``BaseDataElement`` that holds only meta information.

    Args:
        meta_keys: Keys of the sample to keep.
        whole_tile: Pack the tile as it was loaded, ``inputs`` = dict(tile=
            [view]), for :class:`BatchedMultiCropViews`.
    """

    def __init__(self, meta_keys: Sequence[str] = ('tile_id', ),
                 whole_tile: bool = False) -> None:
        self.meta_keys = tuple(meta_keys)
        self.whole_tile = whole_tile

    def transform(self, results: dict) -> dict:
        """Pack one tile."""
        views = dict(tile=[_whole_tile(results)]) if self.whole_tile else {
            kind: results[f'{kind}_views'] for kind in ('global', 'local')}
        inputs = {
            kind: [{
                key: _tensors(value) if isinstance(value, dict) else
                torch.from_numpy(value)
                for key, value in view.items()
            } for view in views_of_kind]
            for kind, views_of_kind in views.items()
        }
        return dict(
            inputs=inputs,
            data_samples=BaseDataElement(
                metainfo=_metainfo(results, self.meta_keys)))

    def __repr__(self) -> str:
        return (f'PackPretrainInputs(meta_keys={self.meta_keys}, '
                f'whole_tile={self.whole_tile})')


def _seg_data_sample() -> BaseDataElement:
    """A SegDataSample where mmseg is installed, its plain base otherwise."""
    try:
        from mmseg.structures import SegDataSample
    except ImportError:
        return BaseDataElement()
    return SegDataSample()


@TRANSFORMS.register_module()
class PackMultiSensorSegInputs(BaseTransform):
    """Pack a multi-sensor sample with an optional label map.

    Result: ``inputs`` = dict(images, valid, dates), each sensor -> tensor
    (float32 (T, C, H, W), bool (T, H, W), int64 (T,)); and ``data_samples``,
    mmseg's ``SegDataSample`` (``BaseDataElement`` without mmseg) with
    ``gt_sem_seg`` int64 (1, H, W) and the meta information that mmseg needs.

    Args:
        meta_keys: Keys of the sample to keep.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = ('tile_id', 'img_path', 'seg_map_path',
                                    'ori_shape', 'img_shape',
                                    'reduce_zero_label')
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one sample."""
        sample = _seg_data_sample()
        if 'gt_seg_map' in results:
            label = results['gt_seg_map'].astype(np.int64)
            if label.ndim == 2:  # pairs have (2, H, W)
                label = label[None]
            sample.set_field(
                PixelData(data=torch.from_numpy(label)), 'gt_sem_seg')
        sample.set_metainfo(_metainfo(results, self.meta_keys))
        inputs = {
            key: _tensors(results[key])
            for key in ('images', 'valid', 'dates')
        }
        return dict(inputs=inputs, data_samples=sample)

    def __repr__(self) -> str:
        return f'PackMultiSensorSegInputs(meta_keys={self.meta_keys})'
