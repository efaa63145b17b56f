# A short run for two CPU cores: small views, one date of Sentinel-1, few
# iterations, bfloat16 where the CPU has it (ours: it is slower where not).
_base_ = './skysense_v2_tiny_1xb8-2k_sample-world.py'

sensors = ('hr_rgb', 's2_l2a', 's1_grd')
max_iters = 200
warmup_iters = 20
train_cfg = dict(max_iters=max_iters)
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
optim_wrapper = dict(type='mmskysense.CPUAmpOptimWrapper')

train_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        num_dates=dict(s2_l2a=2, s1_grd=1)),
    dict(
        type='mmskysense.MultiCropViews',
        sizes=dict(hr_rgb=(64, 32), s2_l2a=(16, 8), s1_grd=(16, 8)),
        global_views=2,
        global_scale=(0.32, 1.0),
        local_views=2,
        local_scale=(0.05, 0.32),
        num_dates=dict(s2_l2a=2, s1_grd=1)),
    dict(type='mmskysense.RadiometricJitter'),
    dict(type='mmskysense.PackPretrainInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(pipeline=train_pipeline))

custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.07),
        teacher_temperature_iters=100,
        # The teacher forgets its start within such a short run.
        momentum=(0.98, 0.999),
        freeze_prototypes_iters=10,
        interval=10,
        warn_after=100)
]
default_hooks = dict(checkpoint=dict(interval=100))
