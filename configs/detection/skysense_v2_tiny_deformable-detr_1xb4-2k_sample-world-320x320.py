"""Boats, aircraft and cars in 0.5 m RGB with mmdet's Deformable DETR.

Data, schedule and options as in the Faster R-CNN config; another number of
classes is ``model.bbox_head.num_classes``. Narrower and shallower than
mmdet's (128 channels, three layers), to fit the tiny encoder; DETRs want a
longer schedule than the 2,000 steps here (ours).
"""
_base_ = './skysense_v2_tiny_faster-rcnn_fpn_1xb4-2k_sample-world-320x320.py'
layer = dict(
    self_attn_cfg=dict(embed_dims=128, batch_first=True),
    ffn_cfg=dict(embed_dims=128, feedforward_channels=512, ffn_drop=0.1))
model = dict(
    _delete_=True,
    type='DeformableDETR',
    num_queries=100,
    num_feature_levels=4,
    with_box_refine=False,
    as_two_stage=False,
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor',
        sensor='hr_rgb',
        pad_size_divisor=32),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='tiny',
        sensor='hr_rgb',
        drop_path_rate=0.1,
        out_indices=(1, 2, 3)),
    neck=dict(
        type='ChannelMapper',
        in_channels=[96, 192, 384],
        kernel_size=1,
        out_channels=128,
        norm_cfg=dict(type='GN', num_groups=32),
        num_outs=4),
    encoder=dict(num_layers=3, layer_cfg=layer),
    decoder=dict(
        num_layers=3,
        return_intermediate=True,
        post_norm_cfg=None,
        layer_cfg=dict(
            self_attn_cfg=dict(
                embed_dims=128, num_heads=8, dropout=0.1, batch_first=True),
            cross_attn_cfg=dict(embed_dims=128, batch_first=True),
            ffn_cfg=layer['ffn_cfg'])),
    positional_encoding=dict(num_feats=64, normalize=True, offset=-0.5),
    bbox_head=dict(
        type='DeformableDETRHead',
        num_classes=3,
        embed_dims=128,
        sync_cls_avg_factor=True,
        loss_cls=dict(
            type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25,
            loss_weight=2.0),
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0)),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='FocalLossCost', weight=2.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ])),
    test_cfg=dict(max_per_img=100))
