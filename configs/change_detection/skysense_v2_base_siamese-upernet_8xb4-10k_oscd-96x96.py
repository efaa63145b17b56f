"""OSCD, urban change between two Sentinel-2 images: F1 of class 'change'.

Data: ``docs/datasets/oscd.md``. The paper publishes "siamese, U-Net-style"
and the metric. Here one encoder sees both dates, their maps are compared
level by level, and mmseg's UPerNet decides; comparison, tile size, schedule
and the weight of change are ours. The maps stay at 1/4 in all stages.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/oscd.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/segmentation_runtime.py',
]
sensors = ('s2_l2a', )
channels = [128, 256, 512, 1024]
# Batch norm would count both dates of a pair as one; change is rare.
norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
change_weight = [1.0, 8.0]
model = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='mmskysense.MultiSensorDataPreprocessor',
        sensors=sensors),
    backbone=dict(sensor='s2_l2a', sensors=sensors),
    # 'concatenation' or 'all' double or treble the heads' in_channels.
    neck=dict(
        type='mmskysense.DateDifferenceNeck',
        in_channels=channels,
        comparison='difference'),
    decode_head=dict(
        num_classes=2,
        norm_cfg=norm_cfg,
        loss_decode=dict(class_weight=change_weight)),
    auxiliary_head=dict(
        num_classes=2,
        norm_cfg=norm_cfg,
        loss_decode=dict(class_weight=change_weight)))
train_cfg = dict(max_iters=10000, val_interval=1000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=500,
         end=10000),
]
# The last checkpoint counts, not the best one on the test cities.
default_hooks = dict(checkpoint=dict(interval=1000, save_best=None))
