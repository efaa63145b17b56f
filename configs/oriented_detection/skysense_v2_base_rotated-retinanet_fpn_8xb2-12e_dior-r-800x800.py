"""DIOR-R, oriented boxes, with mmrotate's rotated RetinaNet: mAP.

Data, schedule and encoder are those of the Oriented R-CNN (beyond the paper,
which names that one alone). The detector is mmrotate's stock
``rotated-retinanet-rbox-le90_r50_fpn_1x_dota.py``, again with encoder, widths
and classes changed: one stage, hence quicker and without proposals to tune.
"""
_base_ = ['skysense_v2_base_oriented-rcnn_fpn_8xb2-12e_dior-r-800x800.py']
angle_version = 'le90'
model = dict(
    _delete_=True,
    type='mmdet.RetinaNet',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor',
        sensor='hr_rgb',
        pad_size_divisor=32),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='base',
        sensor='hr_rgb',
        drop_path_rate=0.2),
    neck=dict(
        type='mmdet.FPN',
        in_channels=[128, 256, 512, 1024],
        out_channels=256,
        start_level=1,
        add_extra_convs='on_input',
        num_outs=5),
    bbox_head=dict(
        type='mmdet.RetinaHead',
        num_classes=20,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        anchor_generator=dict(
            type='FakeRotatedAnchorGenerator',
            angle_version=angle_version,
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[1.0, 0.5, 2.0],
            strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(
            type='DeltaXYWHTRBBoxCoder',
            angle_version=angle_version,
            norm_factor=None,
            edge_swap=True,
            proj_xy=True,
            target_means=(0.0, 0.0, 0.0, 0.0, 0.0),
            target_stds=(1.0, 1.0, 1.0, 1.0, 1.0)),
        loss_cls=dict(
            type='mmdet.FocalLoss',
            use_sigmoid=True,
            gamma=2.0,
            alpha=0.25,
            loss_weight=1.0),
        loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0)),
    train_cfg=dict(
        assigner=dict(
            type='mmdet.MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
            min_pos_iou=0,
            ignore_iof_thr=-1,
            iou_calculator=dict(type='RBboxOverlaps2D')),
        sampler=dict(type='mmdet.PseudoSampler'),
        allowed_border=-1,
        pos_weight=-1,
        debug=False),
    test_cfg=dict(
        nms_pre=2000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms_rotated', iou_threshold=0.1),
        max_per_img=2000))
