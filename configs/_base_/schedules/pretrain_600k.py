# The paper's schedule: AdamW, 2e-4 by cosine to 1e-6, a batch of 1024 over
# all GPUs, 600k iterations (spec section 3, notes). With another batch size
# start tools/train.py with --auto-scale-lr. [ours] marks what is unpublished.
_base_ = '../default_runtime.py'

max_iters = 600000
warmup_iters = 10000  # [ours]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
auto_scale_lr = dict(enable=False, base_batch_size=1024)

optim_wrapper = dict(
    type='OptimWrapper',
    # Betas and weight decay: [ours].
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.95),
                   weight_decay=0.05),
    clip_grad=dict(max_norm=1.5),  # [ours]
    # Leaves the teacher out.
    constructor='mmskysense.TrainableOnlyOptimWrapperConstructor',
    paramwise_cfg=dict(  # [ours]
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            '.queries': dict(decay_mult=0.0),
            '.prompts.': dict(decay_mult=0.0),
            'sensor_codes': dict(decay_mult=0.0),
            'fusion_token': dict(decay_mult=0.0),
            'day_of_year': dict(decay_mult=0.0),
            'no_region': dict(decay_mult=0.0),
            'text_head.embeddings': dict(decay_mult=0.0),
        }))
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

# All of it [ours] (spec section 3, CL).
custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.07),
        teacher_temperature_iters=60000,
        momentum=(0.992, 0.9999),
        # The first epoch of a corpus of 21 million tiles.
        freeze_prototypes_iters=20500,
        interval=200,
        warn_after=20000)
]
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=10000,
        max_keep_ckpts=3))
log_processor = dict(by_epoch=False, window_size=50)
# Every process draws views of its own; the samplers still share a seed.
randomness = dict(seed=0, diff_rank_seed=True)
