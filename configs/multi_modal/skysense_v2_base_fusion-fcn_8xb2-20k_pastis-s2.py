"""PASTIS, crops from the Sentinel-2 series alone: OA and mIoU.

Data: ``docs/datasets/pastis.md``. Schedule and number of dates are ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_fusion.py',
    '../_base_/datasets/pastis.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/multi_modal_runtime.py',
]
sensors = ('s2_l2a', )
model = dict(
    data_preprocessor=dict(sensors=sensors),
    backbone=dict(sensors=sensors),
    neck=dict(sensors=sensors),
    decode_head=dict(num_classes=19))
train_cfg = dict(max_iters=20000, val_interval=2000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=500,
         end=20000),
]
default_hooks = dict(checkpoint=dict(interval=2000))
