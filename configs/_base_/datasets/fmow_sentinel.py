# fMoW-Sentinel, 62 classes, one image a sample
# (tools/dataset_converters/fmow_sentinel.py). default_scope = 'mmpretrain'.
# Images are some 50 pixels of 10 m wide, each of another size: all become 96
# pixels, the input size of the dataset's authors. The validation split is
# what published scores are of, so it is tested too, and no checkpoint is
# chosen by it. check_files: the converter has looked at all files.
data_root = 'data/fmow_sentinel'
bands = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09',
         'B10', 'B11', 'B12')
load = dict(type='mmskysense.LoadGeoTIFF', sensor='s2_l2a', bands=bands)
train_pipeline = [
    load,
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackInputs'),
]
test_pipeline = [
    load,
    dict(type='Resize', scale=(96, 96)),
    dict(type='PackInputs'),
]
dataset = dict(
    type='mmskysense.FMoWSentinelDataset',
    data_root=data_root,
    check_files=False)
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='val', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
