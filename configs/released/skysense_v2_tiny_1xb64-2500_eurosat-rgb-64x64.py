# The run whose encoder lies in weights/: EuroSAT's training images without
# their labels, one core of a CPU for 100 minutes.
#     python tools/dataset_converters/build_index.py data/eurosat_rgb \
#         hr_rgb=images --list train=data/eurosat_rgb/splits/train.txt
_base_ = ['../evidence/eurosat_koleo.py']

# A start for a narrow encoder: what it changed is in
# docs/evidence/pretraining.md.
model = dict(backbone=dict(linear_init='glorot', post_norm_scale=1.0))

max_iters = 2500
warmup_iters = 100
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
