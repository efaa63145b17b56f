# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What each host's data samples must know about padding.

mmseg crops its prediction by ``padding_size`` and resizes it from
``pad_shape``; mmdet's anchors and masks use ``batch_input_shape`` and
``pad_shape``; mmpretrain needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmengine.structures import PixelData
from torch import Tensor


def describe_padding(samples: Sequence[Any],
                     shapes: Sequence[tuple[int, ...]],
                     target: tuple[int, ...],
                     divisor: int,
                     seg_pad_value: int,
                     pad_labels: bool = True) -> None:
    """Record padding in data samples and pad their labels alike, in place.

    Args:
        samples: Data samples of any host.
        shapes: Their images' height and width before padding.
        target: Height and width of the batch.
        divisor: To which multiple sides are padded.
        seg_pad_value: Class id of padding in label maps.
        pad_labels: Whether label maps are padded too. Only for the loss:
            when testing, the hosts crop the prediction to the label.
    """
    for sample, (height, width) in zip(samples, shapes, strict=True):
        right, bottom = target[1] - width, target[0] - height
        if _is_detection(sample):
            _to_plain_boxes(sample)
            padded = tuple(-(-side // divisor) * divisor
                           for side in (height, width))
            sample.set_metainfo(
                dict(batch_input_shape=tuple(target), pad_shape=padded))
            if pad_labels:
                _pad_masks(sample, target)
        else:
            sample.set_metainfo(
                dict(
                    img_shape=(height, width),
                    pad_shape=tuple(target),
                    batch_input_shape=tuple(target),
                    padding_size=[0, right, 0, bottom]))
        if pad_labels:
            _pad_label(sample, (height, width), target, seg_pad_value)


def _is_detection(sample: Any) -> bool:
    return 'gt_instances' in sample


def _to_plain_boxes(sample: Any) -> None:
    """mmdet's upright boxes to tensors, as its own preprocessor does.

    mmrotate's turned boxes stay objects (its configs set
    ``boxtype2tensor=False``): its box coders call their methods.
    """
    from mmdet.structures.bbox import HorizontalBoxes
    for key in ('gt_instances', 'pred_instances', 'ignored_instances'):
        instances = sample.get(key)
        boxes = None if instances is None else instances.get('bboxes')
        if isinstance(boxes, HorizontalBoxes):
            instances.bboxes = boxes.tensor


def _pad_masks(sample: Any, target: tuple[int, ...]) -> None:
    if 'masks' in sample.gt_instances:
        masks = sample.gt_instances.masks
        sample.gt_instances.masks = masks.pad(tuple(target), pad_val=0)


def _pad_label(sample: Any, shape: tuple[int, int], target: tuple[int, ...],
               value: int) -> None:
    if 'gt_sem_seg' not in sample:
        return
    field = 'data' if 'data' in sample.gt_sem_seg else 'sem_seg'
    label: Tensor = getattr(sample.gt_sem_seg, field)
    if tuple(label.shape[-2:]) != shape:
        raise ValueError(
            f'label map is {tuple(label.shape[-2:])}, expected its image\'s '
            f'{shape}; resize and crop both alike in the pipeline')
    right, bottom = target[1] - shape[1], target[0] - shape[0]
    padded = F.pad(label, (0, right, 0, bottom), value=value)
    sample.gt_sem_seg = PixelData(**{field: padded})
