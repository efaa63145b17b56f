# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Merging views of a pair: classes of both dates and where they differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel
from torch import Tensor

from mmskysense.models.change_detectors import SiameseSemanticChange
from mmskysense.registry import MODELS

__all__ = ['SemanticChangeTTA']

# Flips of an image, as a view's ``flip_direction`` names them.
_AXES = {'horizontal': (-1, ), 'vertical': (-2, ), 'diagonal': (-2, -1)}


@MODELS.register_module()
class SemanticChangeTTA(BaseTTAModel):
    """Averages the probabilities of all views, then decides as the model.

    Args:
        module: :class:`SiameseSemanticChange` with ``keep_logits=True``.
    """

    module: SiameseSemanticChange

    def merge_preds(self, data_samples_list: Sequence[Sequence]) -> list:
        """One prediction a pair, on the sample of its first view.

        Args:
            data_samples_list: For each pair its views, each with
                ``class_logits`` (2K, H, W) and ``change_logits`` (2, H, W).
        """
        merged = []
        for views in data_samples_list:
            classes, change = (
                torch.stack([
                    _unflipped(getattr(view, name).data.unflatten(
                        0, (dates, -1)).softmax(1), view)
                    for view in views
                ]).mean(0)
                for name, dates in (('class_logits', 2),
                                    ('change_logits', 1)))
            sample = views[0]
            self.module.decide(sample, classes, change)
            for view in views:
                del view.class_logits, view.change_logits
            merged.append(sample)
        return merged


def _unflipped(scores: Tensor, view: object) -> Tensor:
    """Scores (..., H, W) in the image as it was before the view's flip."""
    direction = getattr(view, 'flip_direction', None)
    if not getattr(view, 'flip', False) or direction is None:
        return scores
    return scores.flip(_AXES[direction])
