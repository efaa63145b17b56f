"""DynamicEarthNet from Sentinel-2: semantic change between months, SCS on val.

Data: ``docs/datasets/dynamicearthnet.md``. A pair is two successive months of
one area, as the score is defined. The paper publishes "siamese" and the
metric; heads, crop and schedule are ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/change_runtime.py',
]
data_root = 'data/dynamicearthnet'
sensors = ('s2_l2a', )
# Twelve bands without descriptions; the tenth is B09 or B10, and not used.
bands = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A',
         'unused', 'B11', 'B12')
norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
model = dict(
    type='mmskysense.SiameseSemanticChange',
    data_preprocessor=dict(
        _delete_=True,
        type='mmskysense.MultiSensorDataPreprocessor',
        sensors=sensors),
    # The composites lie on Planet's 3 m grid, so merging is on.
    backbone=dict(sensor='s2_l2a', merge=(2, 3, 4)),
    decode_head=dict(num_classes=6, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=6, norm_cfg=norm_cfg),
    change_head=dict(
        type='FCNHead',
        # Both dates' maps and their difference.
        in_channels=[384, 768, 1536, 3072],
        in_index=[0, 1, 2, 3],
        input_transform='resize_concat',
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=2,
        norm_cfg=norm_cfg,
        align_corners=False,
        # Change is rare: a few per cent of the pixels.
        loss_decode=dict(
            type='CrossEntropyLoss', class_weight=[1.0, 5.0],
            loss_weight=1.0)))
load = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        reader_options=dict(s2_l2a=dict(bands=bands))),
    dict(type='mmskysense.LoadChangeAnnotations'),
]
train_pipeline = [
    *load,
    dict(type='mmskysense.MultiSensorRandomCrop', crop_size=(512, 512)),
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
test_pipeline = [*load, dict(type='mmskysense.PackMultiSensorSegInputs')]
dataset = dict(
    type='mmskysense.DynamicEarthNetChangeDataset',
    data_root=data_root,
    sensors=sensors)
train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='val', test_mode=True, pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True, pipeline=test_pipeline))
val_evaluator = dict(type='mmskysense.SemanticChangeMetric')
test_evaluator = val_evaluator
