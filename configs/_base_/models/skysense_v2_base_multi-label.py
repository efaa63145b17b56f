# SkySenseV2-base, global average pooling, mmpretrain's linear head with one
# sigmoid a class. Datasets set sensor and num_classes.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='s2_l2a'),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='base',
        sensor='s2_l2a',
        sensors=('s2_l2a', ),
        out_indices=(3, ),
        drop_path_rate=0.2),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='MultiLabelLinearClsHead',
        num_classes=19,
        in_channels=1024,
        # Summed over classes, averaged over the batch by mmpretrain: 1 / 19
        # makes it a mean of both.
        loss=dict(
            type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1 / 19)))
