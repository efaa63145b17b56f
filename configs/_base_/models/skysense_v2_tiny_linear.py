# SkySenseV2 encoder, global average pooling, one linear layer: mmpretrain's.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb'),
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='tiny',
        sensor='hr_rgb',
        out_indices=(3, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=8,
        in_channels=384,
        topk=(1, ),
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))
