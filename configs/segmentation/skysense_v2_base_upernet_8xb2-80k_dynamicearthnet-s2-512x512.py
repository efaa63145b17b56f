"""DynamicEarthNet from Sentinel-2 composites, with UPerNet: mIoU on val.

Data: ``docs/datasets/dynamicearthnet.md``. The composites are on Planet's
3 m grid (the converter warps those that are not), so that they meet the
labels; merging is therefore on. The paper publishes only head and metric;
crop and schedule are ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/dynamicearthnet.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/segmentation_runtime.py',
]
sensor = 's2_l2a'
# Twelve bands without descriptions. Which of B09 and B10 is the tenth is not
# published; it is not used.
bands = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A',
         'unused', 'B11', 'B12')
load = [
    dict(type='mmskysense.LoadGeoTIFF', sensor=sensor, bands=bands),
    dict(type='mmskysense.LoadGeoTIFFAnnotations'),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
train_pipeline = [*load, *_base_.train_pipeline[3:]]
test_pipeline = [*load, _base_.pack]
model = dict(
    data_preprocessor=dict(sensor=sensor),
    backbone=dict(sensor=sensor, merge=(2, 3, 4)),
    decode_head=dict(num_classes=6),
    auxiliary_head=dict(num_classes=6))
train_dataloader = dict(
    dataset=dict(sensors=(sensor, ), pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(sensors=(sensor, ), pipeline=test_pipeline))
test_dataloader = dict(
    dataset=dict(sensors=(sensor, ), pipeline=test_pipeline))
