# ISPRS Potsdam in tiles of 512 pixels (tools/dataset_converters/potsdam.py),
# mmseg's own dataset. default_scope = 'mmseg'. The metric is mFscore over all
# six classes; papers that leave clutter out average the other five.
data_root = 'data/potsdam'
crop_size = (512, 512)
load = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=6),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
train_pipeline = [
    *load,
    dict(
        type='RandomResize',
        scale=(512, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [*load, dict(type='PackSegInputs')]
dataset = dict(type='PotsdamDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path='img_dir/val', seg_map_path='ann_dir/val'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
