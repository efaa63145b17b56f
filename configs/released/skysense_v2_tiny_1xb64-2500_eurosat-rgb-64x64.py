# The first of the released runs: EuroSAT's training images without their
# labels, one core of a CPU for 135 minutes.
#     python tools/dataset_converters/build_index.py data/eurosat_rgb \
#         hr_rgb=images --list train=data/eurosat_rgb/splits/train.txt
_base_ = ['../skysense_v2/skysense_v2_tiny_1xb128-20k_image-archive-64x64.py']

data_root = 'data/eurosat_rgb'
# A step of 64 chips has 128 global views: more prototypes than this would
# make targets soft. The recipe's batch norm was not yet there.
_head = dict(num_prototypes=64, batch_norm=False)
model = dict(
    qsacl_head=_head,
    image_head=_head,
    pixel_head=_head,
    object_head=_head,
    # Encoding local views by the teacher is QSACL's cost.
    qsacl_local_views=1)
data_preprocessor = dict(
    views=dict(
        global_scale=(0.3, 1.0),
        local_views=2,
        local_scale=(0.08, 0.3),
        jitter=dict(options=dict(hr_rgb=dict(blur_prob=0.0)))))
train_dataloader = dict(batch_size=64, dataset=dict(data_root=data_root))

max_iters = 2500
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
custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.05),
        teacher_temperature_iters=300,
        # The teacher forgets its start within such a short run.
        momentum=(0.99, 0.999),
        freeze_prototypes_iters=30,
        interval=50,
        warn_after=500),
    # Watched on validation images; the test images are for the end.
    dict(
        type='mmskysense.ProbingHook',
        interval=250,
        at_start=False,
        data_root=data_root,
        train_list=f'{data_root}/splits/subset5k_train.txt',
        test_list=f'{data_root}/splits/subset5k_val.txt',
        bfloat16=True),
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=250, max_keep_ckpts=1))
