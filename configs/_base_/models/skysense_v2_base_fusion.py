# SkySenseV2-base on several sensors and dates, the fusion transformer, and
# mmseg's per-pixel FCN head. Datasets set sensors and num_classes. Width and
# depth of the fusion are those of our base pre-training; the paper's size is
# embed_dims=1024, depth=24, num_heads=16, drop_path_rate=0.3. Group norm:
# batches are small, and samples have several images.
norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
model = dict(
    type='mmskysense.DatedEncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor',
        sensors=('s2_l2a', 's1_grd')),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='base',
        sensor='s2_l2a',
        sensors=('s2_l2a', 's1_grd'),
        # Maps that no head takes would leave weights without a gradient.
        out_indices=(3, ),
        drop_path_rate=0.3),
    neck=dict(
        type='mmskysense.TemporalFusionNeck',
        in_channels=(1024, ),
        sensors=('s2_l2a', 's1_grd'),
        fusion=dict(
            embed_dims=512, depth=8, num_heads=8, drop_path_rate=0.2)),
    decode_head=dict(
        type='FCNHead',
        in_channels=512,
        in_index=0,
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
