"""BigEarthNet-S2, a tenth of the training labels: mAP over 19 classes.

As the config of all labels; which tenth the paper takes is not published:
here a seeded draw (``train_dataloader.dataset.seed``).
"""
_base_ = './skysense_v2_base_finetune_8xb32-50k_bigearthnet-s2.py'
train_dataloader = dict(dataset=dict(fraction=0.1))
train_cfg = dict(max_iters=10000, val_interval=2000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=False,
        begin=500,
        end=10000),
]
default_hooks = dict(checkpoint=dict(interval=2000))
