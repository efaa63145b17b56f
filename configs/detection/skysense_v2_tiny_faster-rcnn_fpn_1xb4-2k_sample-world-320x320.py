"""Boats, aircraft and cars in 0.5 m RGB with mmdet's Faster R-CNN and FPN.

Data: ``python tools/make_sample_data.py`` writes data/sample_world. Another
COCO data set: ``--cfg-options data_root=DIR
train_dataloader.dataset.ann_file=train.json
train_dataloader.dataset.data_prefix.img=images/
train_dataloader.dataset.metainfo.classes="['airplane']"`` (val\\_, test\\_
alike) and ``model.roi_head.bbox_head.num_classes=1``.
Experts: ``--cfg-options model.backbone.moe.num_experts=4``.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_faster-rcnn_fpn.py',
    '../_base_/datasets/sample_world_detection.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmdet'

train_dataloader = dict(
    batch_size=4, sampler=dict(type='InfiniteSampler', shuffle=True))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmskysense.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.9),
    clip_grad=dict(max_norm=1.0, norm_type=2))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=2000, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0,
         end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=100,
         end=2000),
]

default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=1,
        save_best='coco/bbox_mAP_50'),
    visualization=dict(type='DetVisualizationHook'))
log_processor = dict(by_epoch=False)
visualizer = dict(type='DetLocalVisualizer')
