# Five-Billion-Pixels, Gaofen-2, in tiles of 512 pixels
# (tools/dataset_converters/fbp.py). default_scope = 'mmseg'. The authors test
# on 30 scenes and publish no validation split: the test split validates.
data_root = 'data/fbp'
crop_size = (512, 512)
load = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='gf2'),
    dict(type='mmskysense.LoadGeoTIFFAnnotations'),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
# With the mask, pixels that were not measured become 0 whatever the mean.
pack = dict(
    type='PackSegInputs',
    meta_keys=('img_path', 'seg_map_path', 'ori_shape', 'img_shape',
               'pad_shape', 'scale_factor', 'flip', 'flip_direction',
               'reduce_zero_label', 'valid_mask'))
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
    pack,
]
test_pipeline = [*load, pack]
dataset = dict(
    type='mmskysense.FiveBillionPixelsDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **dataset, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
