"""Boats, aircraft and cars in 0.5 m RGB with mmdet's RetinaNet and FPN.

Data, schedule and options as in the Faster R-CNN config; another number of
classes is ``model.bbox_head.num_classes``. Anchors of 8 pixels and more on
the finest level: a car is 10 pixels long (ours).
"""
_base_ = './skysense_v2_tiny_faster-rcnn_fpn_1xb4-2k_sample-world-320x320.py'
model = dict(
    _delete_=True,
    type='RetinaNet',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor',
        sensor='hr_rgb',
        pad_size_divisor=32),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='tiny',
        sensor='hr_rgb',
        drop_path_rate=0.1),
    neck=dict(
        type='FPN',
        in_channels=[48, 96, 192, 384],
        out_channels=128,
        num_outs=5),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=3,
        in_channels=128,
        feat_channels=128,
        stacked_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=2,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss')),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
            min_pos_iou=0,
            ignore_iof_thr=-1),
        sampler=dict(type='PseudoSampler'),
        allowed_border=-1,
        pos_weight=-1,
        debug=False),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        # Focal loss starts at scores of 0.01: no early score without them.
        score_thr=0.001,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100))
