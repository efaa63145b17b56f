"""Flooded water from Sentinel-1 alone: one sensor other than RGB.

A folder with ``S1/*.tif`` (VV, VH in dB) and ``label/*.tif`` of the same
names (0 land, 1 water, 255 no label), as the STAC Overflow samples are laid
out. Elsewhere: ``--cfg-options data_root=DIR`` and
``{train,val,test}_dataloader.dataset.data_prefix.img_path=...``; some files
of a folder: ``....dataset.ann_file=names.txt`` (names without ending).
The maps of ``tools/predict.py`` come from a config like this one.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_upernet.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmseg'
data_root = 'data/stac_overflow'
crop_size = (256, 256)
norm_cfg = dict(type='GN', num_groups=16, requires_grad=True)

model = dict(
    data_preprocessor=dict(sensor='s1_grd', size=crop_size),
    # At 10 m the table keeps stride 4 in all stages; see the S1 and S2 config.
    backbone=dict(sensor='s1_grd', merge=(2, 3, 4)),
    decode_head=dict(num_classes=2, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=2, norm_cfg=norm_cfg))

load = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='s1_grd'),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=2),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
train_pipeline = [
    *load,
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.95),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
test_pipeline = [*load, dict(type='PackSegInputs')]
dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='S1', seg_map_path='label'),
    img_suffix='.tif',
    seg_map_suffix='.tif',
    metainfo=dict(
        classes=('land', 'water'),
        palette=[[190, 150, 115], [52, 120, 200]]))
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmskysense.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.9),
    clip_grad=dict(max_norm=1.0, norm_type=2))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=250)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=20,
         end=1000),
]
# What is validated is what is tested: nothing is chosen by it.
default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=250, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
