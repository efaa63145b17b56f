# OSCD in pairs of Sentinel-2 tiles of 96 pixels of 10 m
# (tools/dataset_converters/oscd.py), the published split: 14 cities train, 10
# test. A pair is a series of two dates, the label says where they differ.
# default_scope = 'mmseg'; F1 of the class 'change' is mFscore's second number.
data_root = 'data/oscd'
sensors = ('s2_l2a', )
classes = ('no change', 'change')
load = [
    dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=len(classes)),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
train_pipeline = [
    *load,
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
test_pipeline = [*load, dict(type='mmskysense.PackMultiSensorSegInputs')]
dataset = dict(
    type='mmskysense.MultiSensorSegDataset',
    data_root=data_root,
    sensors=sensors,
    index='index.json',
    label_key='change',
    metainfo=dict(classes=classes, palette=[[70, 70, 70], [230, 60, 40]]))
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline))
# No validation cities are published: the score of the test cities is logged
# during training, and nothing is chosen by it.
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
