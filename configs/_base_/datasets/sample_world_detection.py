# Boats, aircraft and cars in 0.5 m RGB, COCO format, in mmdet's own dataset.
# default_scope = 'mmdet'. Another COCO folder: --cfg-options
#   data_root=DIR, and {train,val,test}_dataloader.dataset.ann_file=...,
#   .data_prefix.img=..., .metainfo.classes="('airport',)" where they differ.
dataset_type = 'CocoDataset'
data_root = 'data/sample_world'
metainfo = dict(
    classes=('boat', 'aircraft', 'car'),
    palette=[(0, 160, 255), (255, 80, 0), (255, 225, 0)])

data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor',
    sensor='hr_rgb',
    pad_size_divisor=32)

train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        scale=(640, 640),
        ratio_range=(0.8, 1.25),
        keep_ratio=True),
    # Objects are small and many: crops give more tiles a step for the time.
    dict(
        type='RandomCrop',
        crop_size=(320, 320),
        crop_type='absolute',
        allow_negative_crop=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25],
        direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
# The metric takes the truth from the samples ('instances'), so the path of
# the annotations is written once, in the dataset.
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='Resize', scale=(640, 640), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'instances')),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='detection/train.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True, min_size=4),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='detection/val.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='detection/test.json',
        data_prefix=dict(img=''),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline))

val_evaluator = dict(type='CocoMetric', metric='bbox')
test_evaluator = val_evaluator
