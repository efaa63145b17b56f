"""Scene classes of 0.5 m RGB, encoder frozen, one linear layer trained.

The linear-probe protocol, for a pre-trained encoder: ``--cfg-options
model.backbone.init_cfg.type=Pretrained
model.backbone.init_cfg.checkpoint=FILE``. Data as in the fine-tuning config.
"""
_base_ = './skysense_v2_tiny_finetune_1xb32-2k_sample-world-64x64.py'

model = dict(backbone=dict(frozen_stages=4, drop_path_rate=0.0))

optim_wrapper = dict(
    optimizer=dict(lr=1e-2, weight_decay=0.0),
    paramwise_cfg=dict(layer_decay_rate=1.0))

train_cfg = dict(max_iters=1000, val_interval=500)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0,
         end=1000)
]
