"""Flooded water from Sentinel-1 and Sentinel-2 together, Sen1Floods11 chips.

A stock mmseg EncoderDecoder over two sensors: the encoder takes a dict of
sensors, MultiSensorFusionNeck (ours, plain means; the fusion transformer of
the paper is a part of its own) gives UPerNet one pyramid. Missing dates or
sensors are allowed.

Data as published: ``S1Hand/*_S1Hand.tif`` (VV, VH in dB),
``S2Hand/*_S2Hand.tif`` (13 bands, L1C), ``LabelHand/*_LabelHand.tif`` (-1 no
label, 0 land, 1 water), lists of names for the splits. Elsewhere:
``--cfg-options data_root=DIR``, and
``{train,val,test}_dataloader.dataset.data_prefix.s1_grd=S1`` and so on; with
``....dataset.ann_file=''`` all chips are used.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_upernet.py',
    '../_base_/datasets/sen1floods11.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmseg'

sensors = ('s1_grd', 's2_l2a')
num_classes = 2
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
    decode_head=dict(num_classes=num_classes, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=num_classes, norm_cfg=norm_cfg))

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
