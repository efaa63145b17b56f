# SkySenseV2-base, UPerNet with an FCN auxiliary head of weight 0.4 (the heads
# of the paper's protocol, spec section 4), all heads mmseg's own. Datasets set
# the sensor and num_classes. Other sizes: backbone.arch and the heads'
# in_channels, e.g. huge has 352, 704, 1408, 2816.
norm_cfg = dict(type='BN', requires_grad=True)
# On several GPUs mmengine turns BN into torch's SyncBN; a single process, on
# a CPU too, keeps BN.
sync_bn = 'torch'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor',
        sensor='hr_rgb',
        size=(512, 512)),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='base',
        sensor='hr_rgb',
        drop_path_rate=0.3),
    decode_head=dict(
        type='UPerHead',
        in_channels=[128, 256, 512, 1024],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        dropout_ratio=0.1,
        num_classes=2,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=512,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=2,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
