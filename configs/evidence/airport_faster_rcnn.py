# Airplanes of 10 to 49 pixels in 600 px images, for
# docs/evidence/downstream.md: Faster R-CNN from random weights or from a
# pre-trained encoder, as long as one core of a CPU takes half an hour.
_base_ = [
    '../detection/'
    'skysense_v2_tiny_faster-rcnn_fpn_1xb4-2k_sample-world-320x320.py'
]

data_root = 'data/airport_det'
metainfo = dict(classes=('airplane', ), palette=[(255, 80, 0)])
max_iters = 600
warmup_iters = 50

model = dict(
    backbone=dict(drop_path_rate=0.0),
    # A fourth of the sample world's heads: one class.
    neck=dict(out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=128, num_classes=1)))

train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='LoadAnnotations', with_bbox=True),
    # At their own size: airplanes are small as they are.
    dict(
        type='RandomCrop',
        crop_size=(256, 256),
        crop_type='absolute',
        allow_negative_crop=False),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25],
        direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    # Nothing changes: mmdet's heads ask for the factor.
    dict(type='Resize', scale=(600, 600), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'instances')),
]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        ann_file='instances_train.json',
        data_prefix=dict(img='images/train/'),
        metainfo=metainfo,
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        ann_file='instances_val.json',
        data_prefix=dict(img='images/val/'),
        metainfo=metainfo,
        pipeline=test_pipeline))
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        ann_file='instances_test.json',
        data_prefix=dict(img='images/test/'),
        metainfo=metainfo,
        pipeline=test_pipeline))

optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    # From random weights every layer has the same to learn.
    paramwise_cfg=dict(layer_decay_rate=1.0))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=False,
        begin=warmup_iters,
        end=max_iters),
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=200, save_best=None))
