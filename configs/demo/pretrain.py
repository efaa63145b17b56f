"""Demo, step 2: QSACL pre-training on all three sensors.

The tiny model of configs/skysense_v2 with four experts in its last two
blocks and a schedule for two CPU cores. High-resolution maps are merged at
stages 2 and 3 only: at a stride of 16 pixels, queries have places enough to
choose among even in small views.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_pretrain.py',
    '../_base_/datasets/sample_world_pretrain.py',
    '../_base_/default_runtime.py',
]
sensors = ('hr_rgb', 's2_l2a', 's1_grd')
max_iters = 40
warmup_iters = 8

model = dict(
    backbone=dict(
        moe=dict(num_experts=4, blocks=2),
        merge=dict(hr_rgb=(2, 3), s2_l2a=(), s1_grd=()),
        drop_path_rate=0.0),
    fusion=dict(drop_path_rate=0.0),
    # Sinkhorn shares 16 views out evenly among the prototypes: with a batch
    # of 8, more of them than this would make the targets nearly uniform.
    qsacl_head=dict(num_prototypes=64),
    image_head=dict(num_prototypes=64),
    # The other levels of MGCL cost time that the demo does not have.
    pixel_head=None,
    object_head=None)

train_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        num_dates=dict(s2_l2a=1, s1_grd=1)),
    dict(
        type='mmskysense.MultiCropViews',
        sizes=dict(hr_rgb=(96, 64), s2_l2a=(16, 8), s1_grd=(16, 8)),
        global_views=2,
        global_scale=(0.32, 1.0),
        local_views=2,
        local_scale=(0.05, 0.32),
        num_dates=dict(s2_l2a=1, s1_grd=1)),
    dict(type='mmskysense.RadiometricJitter'),
    dict(type='mmskysense.PackPretrainInputs'),
]
# One worker: with two cores a second one wins nothing and costs memory.
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(label_key=None, pipeline=train_pipeline))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=1.5),
    # Leaves the teacher out.
    constructor='mmskysense.TrainableOnlyOptimWrapperConstructor',
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            '.queries': dict(decay_mult=0.0),
            '.prompts.': dict(decay_mult=0.0),
            'sensor_codes': dict(decay_mult=0.0),
            'fusion_token': dict(decay_mult=0.0),
            'day_of_year': dict(decay_mult=0.0),
        }))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.05,
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
custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.07),
        teacher_temperature_iters=20,
        # The teacher forgets its start within such a short run.
        momentum=(0.96, 0.995),
        freeze_prototypes_iters=5,
        interval=10,
        warn_after=20)
]
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=max_iters,
        max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
