"""Scene classes of 0.5 m RGB, all weights trained, with mmpretrain.

Data: ``python tools/make_sample_data.py`` writes data/sample_world. Another
folder with one sub-folder for each class: ``--cfg-options
data_root=DIR``, ``{train,val,test}_dataloader.dataset.data_prefix=...``,
``....dataset.metainfo.classes="['a','b']"`` and ``model.head.num_classes``.
Lists of files: ``....dataset.ann_file=...``.
Experts: ``--cfg-options model.backbone.moe.num_experts=4``.
"""
_base_ = [
    '../_base_/models/skysense_v2_tiny_linear.py',
    '../_base_/datasets/sample_world_classification.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmpretrain'

model = dict(backbone=dict(drop_path_rate=0.1))

train_dataloader = dict(
    batch_size=32,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='mmskysense.SceneDataset'))
val_dataloader = dict(dataset=dict(type='mmskysense.SceneDataset'))
test_dataloader = dict(dataset=dict(type='mmskysense.SceneDataset'))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmskysense.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.9),
    clip_grad=dict(max_norm=1.0, norm_type=2))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=2000, val_interval=500)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0,
         end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=100,
         end=2000),
]

default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=1,
        save_best='accuracy/top1'),
    visualization=dict(type='VisualizationHook', enable=False))
log_processor = dict(by_epoch=False)
visualizer = dict(type='UniversalVisualizer')
