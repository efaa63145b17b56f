# From the encoder of 2500 + 2500 iterations, 1300 more on views that show
# half the ground: features for chips that are enlarged to 128 px, where
# places are 20 and 80 m wide and not 40 and 160.
#     python tools/dataset_converters/build_index.py data/eurosat_rgb \
#         hr_rgb=images --list train=data/eurosat_rgb/splits/train.txt
_base_ = ['skysense_v2_tiny_1xb64-2500_eurosat-rgb-64x64_continued.py']

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='weights/skysense_v2_tiny_1xb64-2500_eurosat-rgb-'
            '64x64_continued.pth')))
# Enlarged 1.3 to 2.9 times, local ones 1.3 to 2.5 times.
data_preprocessor = dict(
    views=dict(global_scale=(0.12, 0.6), local_scale=(0.04, 0.16)))

max_iters = 1300
warmup_iters = 100
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
data_root = 'data/eurosat_rgb'
custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.05),
        teacher_temperature_iters=300,
        momentum=(0.99, 0.999),
        freeze_prototypes_iters=30,
        interval=50,
        warn_after=500),
    # As they will be used: enlarged.
    dict(
        type='mmskysense.ProbingHook',
        interval=250,
        at_start=False,
        data_root=data_root,
        train_list=f'{data_root}/splits/subset5k_train.txt',
        test_list=f'{data_root}/splits/subset5k_val.txt',
        image_size=128,
        bfloat16=True),
]
