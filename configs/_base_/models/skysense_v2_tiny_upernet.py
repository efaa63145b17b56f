# SkySenseV2 encoder, UPerNet with an FCN auxiliary head of weight 0.4 (the
# heads of the paper's protocol, spec section 4), all heads mmseg's own.
# BN keeps it runnable on a CPU; on several GPUs set norm_cfg to SyncBN.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor',
        sensor='hr_rgb',
        size=(256, 256)),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='tiny',
        sensor='hr_rgb',
        drop_path_rate=0.1),
    decode_head=dict(
        type='UPerHead',
        in_channels=[48, 96, 192, 384],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=128,
        dropout_ratio=0.1,
        num_classes=7,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=192,
        in_index=2,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=7,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
