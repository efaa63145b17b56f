"""fMoW-Sentinel, all dates of a place at once through the fusion: top-1/5.

Not a row of the paper; everything here is ours. Data:
``docs/datasets/fmow_sentinel.md``.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_fusion-linear.py',
    '../_base_/datasets/fmow_sentinel.py',
    '../_base_/schedules/classification_50k.py',
    '../_base_/multi_label_runtime.py',
]
custom_imports = dict(
    imports=[
        'mmskysense', 'mmskysense.evaluation',
        'mmskysense.models.classifiers'
    ],
    allow_failed_imports=False)
sensors = ('s2_l2a', )
series = dict(
    type='mmskysense.LoadMultiSensorTile',
    sensors=sensors,
    num_dates=dict(s2_l2a=8),
    reader_options=dict(s2_l2a=dict(bands=_base_.bands)))
resize = dict(type='mmskysense.MultiSensorResize', size=96)
train_pipeline = [
    series,
    resize,
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorClsInputs'),
]
test_pipeline = [
    dict(**series, random_dates=False),
    resize,
    dict(type='mmskysense.PackMultiSensorClsInputs'),
]
model = dict(
    data_preprocessor=dict(sensors=sensors),
    backbone=dict(sensors=sensors),
    neck=dict(sensors=sensors),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=62,
        in_channels=512,
        topk=(1, 5),
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))
train_dataloader = dict(
    batch_size=16, dataset=dict(series=True, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16, dataset=dict(series=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=16, dataset=dict(series=True, pipeline=test_pipeline))
# The last checkpoint counts, not the best one on the published split.
default_hooks = dict(checkpoint=dict(save_best=None))
