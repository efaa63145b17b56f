# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Views of a pair of dates are averaged where they lie on each other."""

import pytest
import torch

pytest.importorskip('mmseg')

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmskysense.models.change_detectors import SiameseSemanticChange
from mmskysense.models.test_time_augs.semantic_change import SemanticChangeTTA

AXES = {'horizontal': -1, 'vertical': -2}


class Decider(nn.Module):
    decide = staticmethod(SiameseSemanticChange.decide)

    def test_step(self, data):
        return data


def view(classes, change, direction=None):
    sample = SegDataSample(metainfo=dict(
        flip=direction is not None, flip_direction=direction))
    axes = [AXES[direction]] if direction else []
    sample.class_logits = PixelData(data=classes.flatten(0, 1).flip(axes))
    sample.change_logits = PixelData(data=change.flip(axes))
    return sample


def merge(*views):
    merged, = SemanticChangeTTA(module=Decider()).merge_preds([views])
    assert 'class_logits' not in merged and 'change_logits' not in merged
    return merged


def test_flipped_views_of_one_answer_give_that_answer():
    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(2, 3, 5, 7, generator=generator)
    change = torch.randn(2, 5, 7, generator=generator)
    plain = SegDataSample()
    SiameseSemanticChange.decide(plain, classes, change[None])
    merged = merge(*(view(classes, change, way)
                     for way in (None, 'horizontal', 'vertical')))
    assert torch.equal(merged.pred_sem_seg.data, plain.pred_sem_seg.data)
    assert torch.equal(merged.pred_change.data, plain.pred_change.data)
    assert (merged.pred_change.data == 0).any()


def test_probabilities_and_not_logits_are_averaged():
    # One view is very sure of class 0, two are fairly sure of class 1.
    sure = torch.zeros(2, 2, 1, 1)
    sure[:, 0] = 50.0
    fair = torch.zeros(2, 2, 1, 1)
    fair[:, 1] = 2.0
    still = torch.tensor([[[1.0]], [[0.0]]])
    merged = merge(view(sure, still), view(fair, still), view(fair, still))
    assert merged.pred_sem_seg.data.flatten().tolist() == [1, 1]
