# Scenes of 64x64 RGB, one folder for each class, in mmpretrain's own dataset.
# default_scope = 'mmpretrain'. Another folder of the same layout:
#   --cfg-options data_root=DIR
dataset_type = 'CustomDataset'
data_root = 'data/sample_world'
# Alphabetical, as CustomDataset numbers folders that it finds by itself.
classes = ('bare ground', 'cropland', 'forest', 'grassland', 'industrial',
           'residential', 'road', 'water')
num_classes = len(classes)

data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb')

train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(
        type='RandomResizedCrop', scale=64, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix='classification/train',
        extensions=('.tif', '.jpg', '.png'),
        metainfo=dict(classes=classes),
        with_label=True,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix='classification/val',
        extensions=('.tif', '.jpg', '.png'),
        metainfo=dict(classes=classes),
        with_label=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix='classification/test',
        extensions=('.tif', '.jpg', '.png'),
        metainfo=dict(classes=classes),
        with_label=True,
        pipeline=test_pipeline))

val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
