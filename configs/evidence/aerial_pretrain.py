# The released encoder trained on with aerial and satellite images of
# decimetres, without their labels: chips of 128 px, cut by
# tools/dataset_converters/cut_archive.py. docs/evidence/pretraining.md has
# the commands.
_base_ = [
    '../released/'
    'skysense_v2_tiny_1xb64-2500_eurosat-rgb-64x64_continued.py'
]

data_root = 'data/aerial_chips'
max_iters = 600
warmup_iters = 60

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='weights/'
            'skysense_v2_tiny_1xb64-2500_eurosat-rgb-64x64_continued.pth')))
train_dataloader = dict(dataset=dict(data_root=data_root))
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
custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.05),
        teacher_temperature_iters=300,
        momentum=(0.99, 0.999),
        freeze_prototypes_iters=30,
        interval=50,
        warn_after=500),
]
