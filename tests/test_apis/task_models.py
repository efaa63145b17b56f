# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tiny models of other tasks, with stock heads and random weights."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

BACKBONE = '''dict(
        type='mmskysense.SkySenseV2', sensor='hr_rgb',
        arch=dict(embed_dims=8, depths=(1, 1, 1, 1), head_dims=4),
        out_indices=%s)'''
PREPROCESSOR = '''dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb')'''
SCENES = f'''
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)
crop_size = (32, 32)
model = dict(
    type='ImageClassifier', data_preprocessor={PREPROCESSOR},
    backbone={BACKBONE % '(3, )'},
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64))
test_pipeline = [dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb')]
'''
OBJECTS = f'''
default_scope = 'mmdet'
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)
crop_size = (64, 64)
model = dict(
    type='FCOS', data_preprocessor={PREPROCESSOR},
    backbone={BACKBONE % '(1, 2, 3)'},
    neck=dict(type='FPN', in_channels=[16, 32, 64], out_channels=8,
              num_outs=3),
    bbox_head=dict(type='FCOSHead', num_classes=2, in_channels=8,
                   feat_channels=8, stacked_convs=1, strides=[8, 16, 32],
                   regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
                   norm_cfg=None),
    test_cfg=dict(nms_pre=50, score_thr=0.0, max_per_img=20,
                  nms=dict(type='nms', iou_threshold=0.5)))
test_pipeline = [dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb')]
'''


def write_model(folder, text, classes):
    """A config and random weights that fit it; both paths."""
    (folder / 'model.py').write_text(text)
    config = Config.fromfile(folder / 'model.py')
    host = config.default_scope
    registry = pytest.importorskip(f'{host}.registry')
    pytest.importorskip(f'{host}.utils').register_all_modules(
        init_default_scope=False)
    init_default_scope(host)
    torch.manual_seed(0)
    model = registry.MODELS.build(config.model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(dataset_meta=dict(classes=classes))),
               folder / 'model.pth')
    return folder / 'model.py', folder / 'model.pth'


ORIENTED = f'''
default_scope = 'mmrotate'
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)
crop_size = (64, 64)
angle_version = 'le90'
model = dict(
    type='mmdet.RetinaNet', data_preprocessor={PREPROCESSOR},
    backbone={BACKBONE % '(1, 2, 3)'},
    neck=dict(type='mmdet.FPN', in_channels=[16, 32, 64], out_channels=8,
              num_outs=3),
    bbox_head=dict(
        type='mmdet.RetinaHead', num_classes=2, in_channels=8,
        stacked_convs=1, feat_channels=8,
        anchor_generator=dict(
            type='FakeRotatedAnchorGenerator', angle_version=angle_version,
            octave_base_scale=4, scales_per_octave=1, ratios=[1.0],
            strides=[8, 16, 32]),
        bbox_coder=dict(
            type='DeltaXYWHTRBBoxCoder', angle_version=angle_version,
            norm_factor=None, edge_swap=True, proj_xy=True,
            target_means=(0., 0., 0., 0., 0.),
            target_stds=(1., 1., 1., 1., 1.)),
        loss_cls=dict(type='mmdet.FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='mmdet.L1Loss')),
    test_cfg=dict(nms_pre=50, min_bbox_size=0, score_thr=0.0,
                  nms=dict(type='nms_rotated', iou_threshold=0.1),
                  max_per_img=20))
test_pipeline = [dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb')]
'''
