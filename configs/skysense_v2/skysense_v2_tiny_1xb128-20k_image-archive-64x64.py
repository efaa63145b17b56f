# The toy size on plain RGB images of 64 px, such as a folder of JPEG chips.
# An index from a list of files, one path a line:
#     python tools/dataset_converters/build_index.py DIR hr_rgb=. \
#         --list train=FILE
#     python tools/train.py THIS --cfg-options data_root=DIR
_base_ = [
    '../_base_/models/skysense_v2_tiny_pretrain.py',
    '../_base_/datasets/pretrain_rgb.py',
    '../_base_/schedules/pretrain_2k.py',
]

sensors = ('hr_rgb', )
sources = dict(_delete_=True, fused=192, hr_rgb=384)
data_root = 'data/image_archive'

model = dict(
    # Chips of 64 px: at a stride of 16, global views have 4 x 4 places and
    # local ones 2 x 2 for queries to choose among.
    # The start of weights and the heads' batch norm: docs/evidence/
    # pretraining.md says what each of them gains.
    backbone=dict(
        sensors=sensors,
        merge=(2, 3),
        drop_path_rate=0.0,
        linear_init='glorot',
        post_norm_scale=1.0),
    fusion=dict(sensors=sensors, drop_path_rate=0.0),
    qsacl_head=dict(
        num_prototypes=1024, bottleneck_channels=64, batch_norm=True),
    image_head=dict(
        sources=sources, num_prototypes=1024, bottleneck_channels=64,
        batch_norm=True),
    pixel_head=dict(
        sources=sources, num_prototypes=1024, bottleneck_channels=64,
        batch_norm=True),
    object_head=dict(
        sources=sources, num_clusters=4, num_prototypes=1024,
        bottleneck_channels=64, batch_norm=True),
    max_places=16)

# Chips travel whole; their views are cut and varied in a batch, where the
# model is.
data_preprocessor = dict(
    views=dict(
        type='mmskysense.BatchedMultiCropViews',
        sizes=dict(hr_rgb=(64, 32)),
        global_views=2,
        global_scale=(0.32, 1.0),
        local_views=4,
        local_scale=(0.05, 0.32),
        # Weak: colour tells land covers apart.
        jitter=dict(
            options=dict(
                hr_rgb=dict(
                    brightness=0.15,
                    contrast=0.15,
                    gamma=0.1,
                    grayscale_prob=0.0,
                    blur_prob=0.1)))))
train_pipeline = [
    # 64 px of RGB take 12 KiB: chips are decoded once.
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        cache_bytes=512 * 1024 * 1024),
    dict(type='mmskysense.PackPretrainInputs', whole_tile=True),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    pin_memory=False,  # of no use without a GPU
    dataset=dict(data_root=data_root, pipeline=train_pipeline))

max_iters = 20000
warmup_iters = 1000
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
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
        teacher_temperature=(0.04, 0.07),
        teacher_temperature_iters=6000,
        momentum=(0.992, 0.9999),
        freeze_prototypes_iters=200,
        interval=100,
        warn_after=2000)
]
default_hooks = dict(checkpoint=dict(interval=2000))
