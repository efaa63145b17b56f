"""Land cover of 0.5 m RGB with mmseg's EncoderDecoder and UPerNet.

Data: ``python tools/make_sample_data.py`` writes data/sample_world. Another
folder of the same layout (``hr_rgb/<split>/*.tif``, ``land_cover/<split>/``):
``--cfg-options data_root=DIR``.
Experts: ``--cfg-options model.backbone.moe.num_experts=4``.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_upernet.py',
    '../_base_/datasets/sample_world_segmentation.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmseg'

train_dataloader = dict(batch_size=4)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmskysense.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.9),
    clip_grad=dict(max_norm=1.0, norm_type=2))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=2000, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0,
         end=100),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=100,
         end=2000),
]

default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=1,
        save_best='mIoU'),
    visualization=dict(type='SegVisualizationHook'))
log_processor = dict(by_epoch=False)
visualizer = dict(type='SegLocalVisualizer')
