# SkySenseV2-base on several sensors and dates, the fusion transformer, global
# average pooling and mmpretrain's multi-label linear head. Datasets set
# sensors and num_classes. Width and depth of the fusion are those of our base
# pre-training; the paper's size is embed_dims=1024, depth=24, num_heads=16,
# drop_path_rate=0.3.
model = dict(
    type='mmskysense.DatedImageClassifier',
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
        drop_path_rate=0.2),
    neck=dict(
        type='mmskysense.TemporalFusionNeck',
        in_channels=(1024, ),
        sensors=('s2_l2a', 's1_grd'),
        fusion=dict(
            embed_dims=512, depth=8, num_heads=8, drop_path_rate=0.2)),
    head=dict(
        type='MultiLabelLinearClsHead',
        num_classes=19,
        in_channels=512,
        # Summed over classes, averaged over the batch by mmpretrain: 1 / 19
        # makes it a mean of both.
        loss=dict(
            type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1 / 19)))
