# From the encoder of 2500 iterations, 2500 more: hidden layers of the heads
# standardised by the batch, and more variation of colour than at first.
#     python tools/dataset_converters/build_index.py data/eurosat_rgb \
#         hr_rgb=images --list train=data/eurosat_rgb/splits/train.txt
_base_ = ['skysense_v2_tiny_1xb64-2500_eurosat-rgb-64x64.py']

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            # Not in the tree any more: the first run makes it.
            checkpoint='weights/'
            'skysense_v2_tiny_1xb64-2500_eurosat-rgb-64x64.pth')),
    qsacl_head=dict(batch_norm=True),
    image_head=dict(batch_norm=True),
    pixel_head=dict(batch_norm=True),
    object_head=dict(batch_norm=True))
data_preprocessor = dict(
    views=dict(
        jitter=dict(
            options=dict(
                hr_rgb=dict(
                    brightness=0.25,
                    contrast=0.25,
                    band_gain=0.08,
                    grayscale_prob=0.05)))))

max_iters = 2500
warmup_iters = 150
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
