# Pre-training on EuroSAT's training images without their labels, for
# docs/evidence/pretraining.md: batch 64 and a short schedule for two cores.
_base_ = ['../skysense_v2/skysense_v2_tiny_1xb128-20k_image-archive-64x64.py']

data_root = 'data/eurosat_rgb'
max_iters = 1000
warmup_iters = 60

# A step of 64 chips has 128 global views: more prototypes than this would
# make targets soft.
prototypes = 256
model = dict(
    qsacl_head=dict(num_prototypes=prototypes),
    image_head=dict(num_prototypes=prototypes),
    pixel_head=dict(num_prototypes=prototypes),
    object_head=dict(num_prototypes=prototypes),
    # One local view of the four: encoding them by the teacher is QSACL's
    # cost.
    qsacl_local_views=1)

train_dataloader = dict(batch_size=64, dataset=dict(data_root=data_root))
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
        # The teacher forgets its start within such a short run.
        momentum=(0.98, 0.9995),
        freeze_prototypes_iters=30,
        interval=50,
        warn_after=500),
    # Watched on validation images; the test images are for the end.
    dict(
        type='mmskysense.ProbingHook',
        interval=100,
        data_root=data_root,
        train_list=f'{data_root}/splits/subset5k_train.txt',
        test_list=f'{data_root}/splits/subset5k_val.txt',
        bfloat16=True),
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=100, max_keep_ckpts=1))
