"""Land cover of 0.5 m RGB with mmseg's SegFormer head, a light decoder.

Four 1x1 convolutions and one fusion (Xie et al., arXiv 2105.15203): 0.16 M
parameters where UPerNet beside it has 2.31 M. It also fits a frozen
encoder: ``--cfg-options model.backbone.frozen_stages=4``.
Data: ``python tools/make_sample_data.py`` writes data/sample_world.
"""
_base_ = ['skysense_v2_tiny_upernet_1xb4-2k_sample-world-256x256.py']

model = dict(
    decode_head=dict(
        _delete_=True,
        type='SegformerHead',
        in_channels=[48, 96, 192, 384],
        in_index=[0, 1, 2, 3],
        channels=128,
        dropout_ratio=0.1,
        num_classes=7,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=None)
