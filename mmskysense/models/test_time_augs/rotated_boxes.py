# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Merging turned boxes of several views; mmrotate has none of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.models import DetTTAModel
from mmrotate.structures.bbox import RotatedBoxes
from torch import Tensor

from mmskysense.registry import MODELS

__all__ = ['RotatedBoxTTA']


@MODELS.register_module()
class RotatedBoxTTA(DetTTAModel):
    """mmdet's merging, with boxes (x, y, w, h, angle) flipped back.

    Args:
        tta_cfg: ``nms`` of the type ``nms_rotated``, and ``max_per_img``.
        module: The detector.
    """

    def merge_aug_bboxes(self, aug_bboxes: Sequence[Any],
                         aug_scores: Sequence[Tensor] | None,
                         img_metas: Sequence[Mapping[str, Any]]) -> Any:
        """Boxes of all views in the first view's image.

        Args:
            aug_bboxes: Of each view float (N, 5) in pixels and radians, as a
                tensor or ``RotatedBoxes``.
            aug_scores: Of each view float (N, ).
            img_metas: ``ori_shape``, ``flip`` and ``flip_direction``.

        Returns:
            Boxes (M, 5) and, where there are any, scores (M, ).
        """
        recovered = []
        for boxes, info in zip(aug_bboxes, img_metas, strict=True):
            values = getattr(boxes, 'tensor', boxes).clone()
            if info['flip']:
                RotatedBoxes(values, clone=False).flip_(
                    info['ori_shape'], info['flip_direction'])
            recovered.append(values)
        merged = torch.cat(recovered)
        return merged if aug_scores is None else (merged,
                                                  torch.cat(list(aug_scores)))
