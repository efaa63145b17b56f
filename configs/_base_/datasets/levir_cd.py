# LEVIR-CD in pairs of tiles of 256 pixels
# (tools/dataset_converters/levir_cd.py), the published splits. A pair is a
# series of two dates, the label says where they differ. default_scope =
# 'mmseg'; F1 of the class 'change' is mFscore's second number.
data_root = 'data/levir_cd'
sensors = ('hr_rgb', )
classes = ('no change', 'change')
load = [
    dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=len(classes)),
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
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='val', test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True, pipeline=test_pipeline))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
