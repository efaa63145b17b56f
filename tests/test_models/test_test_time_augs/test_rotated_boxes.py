# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Turned boxes of flipped views come back to where they were."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

pytest.importorskip('mmrotate')
pytest.importorskip('mmcv._ext')

from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmrotate.structures.bbox import RotatedBoxes
from mmrotate.structures.bbox.transforms import norm_angle

from mmskysense.models.test_time_augs.rotated_boxes import RotatedBoxTTA

BOXES = torch.tensor([[20.0, 12, 16, 6, 0.4], [44, 30, 10, 8, -0.7]])
SHAPE = (48, 64)


class Nothing(BaseModel):
    def forward(self, *_, **__):
        return None


def view(direction, kind):
    boxes = RotatedBoxes(BOXES.clone())
    if direction:
        boxes.flip_(SHAPE, direction)
    sample = DetDataSample(metainfo=dict(
        ori_shape=SHAPE, flip=direction is not None,
        flip_direction=direction))
    sample.pred_instances = InstanceData(
        bboxes=boxes.tensor if kind is torch.Tensor else boxes,
        scores=torch.tensor([0.9, 0.5]), labels=torch.tensor([2, 1]))
    return sample


@pytest.mark.parametrize('kind', [torch.Tensor, RotatedBoxes])
def test_views_agree_and_are_joined(kind):
    model = RotatedBoxTTA(tta_cfg=ConfigDict(
        nms=dict(type='nms_rotated', iou_threshold=0.1), max_per_img=10),
        module=Nothing())
    merged, = model.merge_preds(
        [[view(way, kind) for way in (None, 'horizontal', 'vertical')]])
    found = merged.pred_instances
    assert found.labels.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert torch.allclose(found.bboxes[:, :4], BOXES[:, :4])
    assert torch.allclose(norm_angle(found.bboxes[:, 4], 'le90'),
                          BOXES[:, 4], atol=1e-5)
