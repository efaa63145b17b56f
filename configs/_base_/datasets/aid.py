# AID, 600 x 600 pixels scaled to 320: mmskysense.SceneDataset with
# the lists of tools/dataset_converters/aid.py. default_scope =
# 'mmpretrain'. No validation split is published: the test list is validated.
data_root = 'data/aid'
classes = (
    'Airport', 'BareLand', 'BaseballField', 'Beach', 'Bridge', 'Center',
    'Church', 'Commercial', 'DenseResidential', 'Desert', 'Farmland',
    'Forest', 'Industrial', 'Meadow', 'MediumResidential', 'Mountain',
    'Park', 'Parking', 'Playground', 'Pond', 'Port', 'RailwayStation',
    'Resort', 'River', 'School', 'SparseResidential', 'Square', 'Stadium',
    'StorageTanks', 'Viaduct')
data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb')
train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(
        type='RandomResizedCrop', scale=320, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='Resize', scale=320),
    dict(type='PackInputs'),
]
dataset = dict(
    type='mmskysense.SceneDataset',
    data_root=data_root,
    data_prefix='images',
    metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset, ann_file='splits/train_20.txt', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='splits/test_20.txt',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
