# SkySenseV2-base, global average pooling, one linear layer: mmpretrain's.
# Datasets set num_classes.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb'),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='base',
        sensor='hr_rgb',
        drop_path_rate=0.2,
        out_indices=(3, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=2,
        in_channels=1024,
        topk=(1, ),
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))
