# SkySenseV2-base on several sensors and dates, a fusion neck, and mmseg's
# per-pixel FCN head. Datasets set sensors and num_classes. Group norm: batches
# are small, and samples have several images.
norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor',
        sensors=('s2_l2a', 's1_grd')),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='base',
        sensor='s2_l2a',
        sensors=('s2_l2a', 's1_grd'),
        drop_path_rate=0.3),
    neck=dict(
        type='mmskysense.MultiSensorFusionNeck',
        in_channels=(128, 256, 512, 1024),
        sensors=('s2_l2a', 's1_grd')),
    decode_head=dict(
        type='FCNHead',
        in_channels=1024,
        in_index=3,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=2,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
