"""Demo, step 4: land cover with UPerNet from the pre-trained encoder.

Like configs/segmentation/, with the experts of the demo's pre-training, a
gentler change of scale and a schedule for two CPU cores.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_upernet.py',
    '../_base_/datasets/sample_world_segmentation.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmseg'

# The encoder of pretrain.py. tools/demo.py adds the checkpoint:
# model.backbone.init_cfg=dict(type='Pretrained', checkpoint=...).
# Rare classes weigh more, by the inverse root of their share of the tiles:
# with even weights a short schedule never gets to buildings.
class_weight = [0.8, 0.8, 0.9, 1.8, 1.1, 1.9, 1.9]
model = dict(
    backbone=dict(
        moe=dict(num_experts=4, blocks=2),
        merge=(2, 3),
        drop_path_rate=0.0),
    decode_head=dict(
        channels=64,
        dropout_ratio=0.0,
        loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(loss_decode=dict(class_weight=class_weight)))

# Tiles have one ground sample distance, so no large change of scale.
train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=7),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(type='RandomCrop', crop_size=(256, 256), cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
# Forked workers cost memory and, with two cores, win nothing.
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(pipeline=train_pipeline))
val_dataloader = None
val_evaluator = None
val_cfg = None
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_cfg = dict(type='TestLoop')

max_iters = 240
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=30),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        by_epoch=False,
        begin=30,
        end=max_iters),
]
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=max_iters,
        save_optimizer=False,
        max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
