# BigEarthNet-MM (version 1, 19 classes, the authors' splits): Sentinel-2 and
# Sentinel-1 of the same 1.2 km (tools/dataset_converters/bigearthnet.py
# --sensors s2_l2a s1_grd). default_scope = 'mmpretrain'. A patch that lacks a
# sensor, or a test with fewer sensors=, works. Metrics as in
# bigearthnet_s2.py.
data_root = 'data/bigearthnet'
sensors = ('s2_l2a', 's1_grd')
load = dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors)
train_pipeline = [
    load,
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorClsInputs'),
]
test_pipeline = [load, dict(type='mmskysense.PackMultiSensorClsInputs')]
dataset = dict(
    type='mmskysense.BigEarthNetDataset',
    data_root=data_root,
    sensors=sensors,
    check_files=False)
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='val', test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True, pipeline=test_pipeline))
val_evaluator = [
    dict(type='AveragePrecision'),
    dict(type='mmskysense.MicroAveragePrecision'),
]
test_evaluator = val_evaluator
