"""Land cover of 0.5 m RGB: a frozen encoder with low-rank adapters, UPerNet.

Needs ``pip install -r requirements/lora.txt`` and an encoder to adapt:
``--cfg-options model.backbone.init_cfg.checkpoint=encoder.pth``. Adapters
alone are saved with ``model.backbone.lora.save=adapters``.
Data: ``python tools/make_sample_data.py`` writes data/sample_world.
"""
_base_ = ['skysense_v2_tiny_upernet_1xb4-2k_sample-world-256x256.py']

model = dict(
    backbone=dict(
        type='mmskysense.LoRASkySenseV2', lora=dict(rank=8, alpha=16)))
# The frozen layers below need no protection from high rates.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.0))
