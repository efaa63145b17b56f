# Pre-training on EuroSAT's training images without their labels, for
# docs/evidence/pretraining.md: what one core of a CPU can do in an hour.
_base_ = ['../skysense_v2/skysense_v2_tiny_1xb128-20k_image-archive-64x64.py']

data_root = 'data/eurosat_rgb'
max_iters = 1500
warmup_iters = 100

# Views of 32 and 24 px cost a quarter of those of 64 px, and are cut from
# 32 to 64 px and 20 to 40 px: about what they show. At a stride of 16 both
# have 2 x 2 places.
data_preprocessor = dict(
    views=dict(
        sizes=dict(hr_rgb=(32, 24)),
        global_scale=(0.25, 1.0),
        local_views=2,
        local_scale=(0.1, 0.4),
        jitter=dict(options=dict(hr_rgb=dict(blur_prob=0.0)))))

# A step of 64 chips has 128 global views: more prototypes than this would
# make targets soft.
prototypes = 64
# What the recipe has learned since from these runs is left out of them.
_head = dict(num_prototypes=prototypes, batch_norm=False)
model = dict(
    backbone=dict(linear_init='truncated_normal', post_norm_scale=0.0),
    qsacl_head=_head,
    image_head=_head,
    pixel_head=_head,
    object_head=_head,
    # Encoding local views by the teacher is QSACL's cost.
    qsacl_local_views=1)

train_dataloader = dict(batch_size=64, dataset=dict(data_root=data_root))
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
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
        # The teacher forgets its start within such a short run.
        momentum=(0.98, 0.999),
        freeze_prototypes_iters=30,
        interval=100,
        warn_after=500),
    # Watched on validation images; the test images are for the end.
    dict(
        type='mmskysense.ProbingHook',
        interval=250,
        data_root=data_root,
        train_list=f'{data_root}/splits/subset5k_train.txt',
        test_list=f'{data_root}/splits/subset5k_val.txt',
        bfloat16=True),
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=250, max_keep_ckpts=1))
