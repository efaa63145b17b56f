# The longest run of docs/evidence/pretraining.md: views at the chips' own
# size. KoLeo acts on each sensor's features as on the fused ones.
_base_ = ['eurosat_pretrain.py']

data_root = 'data/eurosat_rgb'
data_preprocessor = dict(
    views=dict(
        sizes=dict(hr_rgb=(64, 32)),
        global_scale=(0.3, 1.0),
        local_scale=(0.08, 0.3)))
custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.05),
        teacher_temperature_iters=300,
        momentum=(0.99, 0.999),
        freeze_prototypes_iters=30,
        interval=50,
        warn_after=500),
    dict(
        type='mmskysense.ProbingHook',
        interval=250,
        at_start=False,
        data_root=data_root,
        train_list=f'{data_root}/splits/subset5k_train.txt',
        test_list=f'{data_root}/splits/subset5k_val.txt',
        bfloat16=True),
]
