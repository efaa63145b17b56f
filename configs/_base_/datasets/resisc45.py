# NWPU-RESISC45, 256 x 256 pixels: mmskysense.SceneDataset with
# the lists of tools/dataset_converters/resisc45.py. default_scope =
# 'mmpretrain'. No validation split is published: the test list is validated.
data_root = 'data/resisc45'
classes = (
    'airplane', 'airport', 'baseball_diamond', 'basketball_court',
    'beach', 'bridge', 'chaparral', 'church', 'circular_farmland',
    'cloud', 'commercial_area', 'dense_residential', 'desert', 'forest',
    'freeway', 'golf_course', 'ground_track_field', 'harbor',
    'industrial_area', 'intersection', 'island', 'lake', 'meadow',
    'medium_residential', 'mobile_home_park', 'mountain', 'overpass',
    'palace', 'parking_lot', 'railway', 'railway_station',
    'rectangular_farmland', 'river', 'roundabout', 'runway', 'sea_ice',
    'ship', 'snowberg', 'sparse_residential', 'stadium', 'storage_tank',
    'tennis_court', 'terrace', 'thermal_power_station', 'wetland')
data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb')
train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(
        type='RandomResizedCrop', scale=256, crop_ratio_range=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
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
        **dataset, ann_file='splits/train_10.txt', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='splits/test_10.txt',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
