# PASTIS, Sentinel-2 series (tools/dataset_converters/pastis.py), in patches
# of 128 pixels of 10 m. default_scope = 'mmseg'. Folds 1 to 3 train, 4
# validates, 5 tests, the first of the published rotations. Metrics: OA
# (aAcc) and mIoU. num_dates bounds the memory: a random subset trains, an
# evenly spread one is tested (ours).
data_root = 'data/pastis'
sensors = ('s2_l2a', )
num_dates = dict(s2_l2a=24)
load = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        num_dates=num_dates,
        label_sensor='s2_l2a'),
    dict(type='mmskysense.LoadGeoTIFFAnnotations'),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
train_pipeline = [
    *load,
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
test_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        num_dates=num_dates,
        random_dates=False,
        label_sensor='s2_l2a'),
    *load[1:],
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
dataset = dict(
    type='mmskysense.PASTISDataset', data_root=data_root, sensors=sensors)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='val', test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True, pipeline=test_pipeline))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
