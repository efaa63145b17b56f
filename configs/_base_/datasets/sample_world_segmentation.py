# Land cover from 0.5 m RGB, in mmseg's own dataset. default_scope = 'mmseg'.
# Another folder of the same layout: --cfg-options data_root=DIR
dataset_type = 'BaseSegDataset'
data_root = 'data/sample_world'
crop_size = (256, 256)
metainfo = dict(
    classes=('cropland', 'grassland', 'forest', 'water', 'road', 'building',
             'bare ground'),
    palette=[[232, 200, 96], [150, 205, 110], [38, 110, 52], [52, 120, 200],
             [120, 120, 120], [205, 60, 50], [190, 150, 115]])

# mmseg's own preprocessor refuses any number of bands but 1 and 3.
data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor',
    sensor='hr_rgb',
    size=crop_size)

train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(
        type='mmskysense.LoadGeoTIFFAnnotations',
        num_classes=len(metainfo['classes'])),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(
        type='RandomResize',
        scale=(640, 640),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(
        type='mmskysense.LoadGeoTIFFAnnotations',
        num_classes=len(metainfo['classes'])),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(
            img_path='hr_rgb/train', seg_map_path='land_cover/train'),
        img_suffix='.tif',
        seg_map_suffix='.tif',
        metainfo=metainfo,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='hr_rgb/val', seg_map_path='land_cover/val'),
        img_suffix='.tif',
        seg_map_suffix='.tif',
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(
            img_path='hr_rgb/test', seg_map_path='land_cover/test'),
        img_suffix='.tif',
        seg_map_suffix='.tif',
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline))

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
