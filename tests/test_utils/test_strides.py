# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Strides of detection heads follow the encoder's merges."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmskysense import SkySenseV2
from mmskysense.utils.config import read_config
from mmskysense.utils.strides import encoder_strides, follow_merge

ROOT = Path(__file__).parents[2]
DETECTOR = str(ROOT / 'configs/detection/skysense_v2_tiny_faster-rcnn_fpn_'
               '1xb4-2k_sample-world-320x320.py')
SMALLEST = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8)
MERGES = [(2, 3, 4), (2, 3), (2, ), ()]


@pytest.mark.parametrize('options', [
    *(dict(merge=merge) for merge in MERGES), dict(), dict(sensor='s2_l2a'),
    dict(merge={'hr_rgb': [4]}), dict(merge=(2, 4), out_indices=(3, 1))])
def test_strides_are_those_of_the_maps(options):
    model = SkySenseV2(SMALLEST, **options).eval()
    bands = 10 if options.get('sensor') else 3
    sides = [level.shape[-1] for level in model(torch.zeros(1, bands, 64, 64))]
    assert [64 // side for side in sides] == encoder_strides(options)


@pytest.mark.parametrize('merge', MERGES)
def test_heads_follow_and_anchors_keep_their_size(merge):
    cfg = read_config(DETECTOR, {'model.backbone.merge': merge})
    strides = encoder_strides(dict(merge=merge))
    anchors = cfg.model.rpn_head.anchor_generator
    assert list(anchors.strides) == [*strides, 2 * strides[-1]]
    assert cfg.model.roi_head.bbox_roi_extractor.featmap_strides == strides
    if merge == (2, 3, 4):
        assert cfg.model == Config.fromfile(DETECTOR).model | {
            'backbone': cfg.model.backbone}
    else:
        assert anchors.base_sizes == [4, 8, 16, 32, 64]


def test_a_start_level_of_the_neck_counts():
    cfg = Config(dict(model=dict(
        backbone=dict(type='mmskysense.SkySenseV2', merge=(2, )),
        neck=dict(type='FPN', start_level=1, num_outs=5),
        bbox_head=dict(anchor_generator=dict(
            type='AnchorGenerator', strides=[8, 16, 32, 64, 128])))))
    follow_merge(cfg)
    assert cfg.model.bbox_head.anchor_generator.strides == [8, 8, 8, 16, 32]


@pytest.mark.parametrize('model', [
    dict(backbone=dict(type='ResNet'), neck=dict(type='FPN', num_outs=1),
         head=dict(strides=[16])),
    dict(backbone=dict(type='mmskysense.SkySenseV2', merge=()),
         neck=dict(type='PAFPN'), head=dict(strides=[4, 8])),
    dict(backbone=dict(type='mmskysense.SkySenseV2', merge=()),
         neck=dict(type='FPN', num_outs=4), head=dict(strides=[1] * 7)),
    dict(backbone=dict(type='mmskysense.SkySenseV2'), neck=None)])
def test_what_is_not_known_is_left_alone(model):
    cfg = Config(dict(model=model))
    before = cfg.model.to_dict()
    follow_merge(cfg)
    assert cfg.model.to_dict() == before


@pytest.mark.parametrize('merge', MERGES)
def test_a_detector_trains_with_each_choice(merge):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmcv._ext')
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmdet.utils import register_all_modules
    from mmengine.registry import init_default_scope
    from mmengine.structures import InstanceData
    register_all_modules(init_default_scope=False)
    init_default_scope('mmdet')
    cfg = read_config(DETECTOR, {'model.backbone.merge': merge})
    model = MODELS.build(cfg.model)
    sample = DetDataSample(metainfo=dict(
        img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64)))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[40.0, 40, 56, 56]]), labels=torch.tensor([1]))
    losses = model(torch.rand(1, 3, 64, 64), [sample], mode='loss')
    # A wrong stride leaves the object outside all anchors.
    priors = model.rpn_head.prior_generator.grid_priors([
        level.shape[-2:] for level in model.extract_feat(
            torch.rand(1, 3, 64, 64))], device='cpu')
    for level in priors[:4]:
        centres = (level[:, :2] + level[:, 2:]) / 2
        assert centres.max() < 64 and centres.max() >= 32
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
