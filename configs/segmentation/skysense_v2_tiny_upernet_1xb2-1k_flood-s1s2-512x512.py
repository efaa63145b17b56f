"""Flooded water from Sentinel-1 and Sentinel-2 together, Sen1Floods11 chips.

A stock mmseg EncoderDecoder over two sensors: the encoder takes a dict of
sensors, MultiSensorFusionNeck (ours, plain means; the fusion transformer of
the paper is a part of its own) gives UPerNet one pyramid. Missing dates or
sensors are allowed.

Data as published: ``S1Hand/*_S1Hand.tif`` (VV, VH in dB),
``S2Hand/*_S2Hand.tif`` (13 bands, L1C), ``LabelHand/*_LabelHand.tif`` (-1 no
label, 0 land, 1 water), lists of names for the splits. Elsewhere:
``--cfg-options train_dataloader.dataset.data_root=DIR`` (val\\_, test\\_
alike), ``....dataset.data_prefix.s1_grd=S1`` and so on; with
``....dataset.ann_file=''`` all chips are used.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_upernet.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmseg'

data_root = 'data/sen1floods11'
sensors = ('s1_grd', 's2_l2a')
classes = ('land', 'water')
# The 13 bands of the files; the loader picks the sensor's ten by name.
s2_file_bands = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08',
                 'B8A', 'B09', 'B10', 'B11', 'B12')
reader_options = dict(s2_l2a=dict(bands=s2_file_bands))
suffixes = dict(
    s1_grd='_S1Hand.tif', s2_l2a='_S2Hand.tif', seg_map='_LabelHand.tif')
data_prefix = dict(s1_grd='S1Hand', s2_l2a='S2Hand', seg_map='LabelHand')

# Group norm: batches are small, and batch norm of a pooled 1x1 map of one
# image has no variance.
norm_cfg = dict(type='GN', num_groups=16, requires_grad=True)
model = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='mmskysense.MultiSensorDataPreprocessor',
        sensors=sensors),
    # At 10 m the table keeps stride 4 in all stages. Merging everywhere is 16
    # times cheaper in stages 3-4 on these large chips.
    backbone=dict(
        sensor='s1_grd', sensors=sensors, merge=(2, 3, 4)),
    neck=dict(
        type='mmskysense.MultiSensorFusionNeck',
        in_channels=(48, 96, 192, 384),
        sensors=sensors),
    decode_head=dict(num_classes=len(classes), norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=len(classes), norm_cfg=norm_cfg))

pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        reader_options=reader_options),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=len(classes)),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
dataset = dict(
    type='mmskysense.MultiSensorSegDataset',
    data_root=data_root,
    sensors=sensors,
    data_prefix=data_prefix,
    suffixes=suffixes,
    metainfo=dict(
        classes=classes, palette=[[190, 150, 115], [52, 120, 200]]),
    pipeline=pipeline)
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(ann_file='splits/flood_train_data.csv', **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='splits/flood_valid_data.csv', test_mode=True, **dataset))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='splits/flood_test_data.csv', test_mode=True, **dataset))
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
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=50,
         end=1000),
]
default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=250, max_keep_ckpts=1,
        save_best='mIoU'))
log_processor = dict(by_epoch=False)
