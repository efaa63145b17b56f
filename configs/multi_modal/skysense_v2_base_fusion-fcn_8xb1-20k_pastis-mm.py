"""PASTIS-MM: crops from SPOT, the Sentinel-2 and the Sentinel-1 series: OA.

The paper's multi-modal time-series row: fusion and a per-pixel head. Data:
``docs/datasets/pastis.md`` (PASTIS-HD, all sensors). Without SPOT (PASTIS-R):
leave ``hr_rgb`` out of ``sensors`` everywhere. Number of dates and schedule
are ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_fusion.py',
    '../_base_/datasets/pastis.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/multi_modal_runtime.py',
]
sensors = ('hr_rgb', 's2_l2a', 's1_grd')
tile = dict(
    type='mmskysense.LoadMultiSensorTile',
    sensors=sensors,
    num_dates=dict(hr_rgb=1, s2_l2a=16, s1_grd=16),
    label_sensor='s2_l2a')
train_pipeline = [tile, *_base_.train_pipeline[1:]]
test_pipeline = [dict(**tile, random_dates=False), *_base_.test_pipeline[1:]]
model = dict(
    data_preprocessor=dict(sensors=sensors),
    backbone=dict(sensors=sensors),
    # Fused on the grid of the labels.
    neck=dict(sensors=sensors, fusion=dict(grid='s2_l2a')),
    decode_head=dict(num_classes=19))
train_dataloader = dict(
    batch_size=1, dataset=dict(sensors=sensors, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(sensors=sensors, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(sensors=sensors, pipeline=test_pipeline))
train_cfg = dict(max_iters=20000, val_interval=2000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=500,
         end=20000),
]
default_hooks = dict(checkpoint=dict(interval=2000))
