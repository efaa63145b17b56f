# BigEarthNet-S2 (version 1, 19 classes, the authors' splits), patches of 120
# pixels of 10 m (tools/dataset_converters/bigearthnet.py). default_scope =
# 'mmpretrain'. mAP is the mean over classes, micro_mAP that over all
# decisions. check_files: the converter has looked at half a million files.
data_root = 'data/bigearthnet'
load = dict(type='mmskysense.LoadGeoTIFF', sensor='s2_l2a')
train_pipeline = [
    load,
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackInputs'),
]
test_pipeline = [load, dict(type='PackInputs')]
dataset = dict(
    type='mmskysense.BigEarthNetDataset',
    data_root=data_root,
    sensors=('s2_l2a', ),
    check_files=False)
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='val', test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True, pipeline=test_pipeline))
val_evaluator = [
    dict(type='AveragePrecision'),
    dict(type='mmskysense.MicroAveragePrecision'),
]
test_evaluator = val_evaluator
