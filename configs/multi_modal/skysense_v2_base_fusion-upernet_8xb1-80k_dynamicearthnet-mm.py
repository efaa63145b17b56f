"""DynamicEarthNet from Planet, Sentinel-2 and Sentinel-1: mIoU on val.

The paper's multi-modal segmentation row: fusion and UPerNet. Fusion's width
and depth are those of our base pre-training. Data:
``docs/datasets/dynamicearthnet.md``; months that lack a composite are used
with the sensors that they have. Crop, number of dates and schedule are ours.

The order of the eight Sentinel-1 bands is not published: check that bands 1
and 2 are VV and VH in your files, or name others in ``s1_bands``.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/dynamicearthnet.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/multi_modal_runtime.py',
]
sensors = ('planetscope', 's2_l2a', 's1_grd')
s1_bands = (1, 2)
s2_bands = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A',
            'unused', 'B11', 'B12')
crop_size = (256, 256)
norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
model = dict(
    type='mmskysense.DatedEncoderDecoder',
    data_preprocessor=dict(
        _delete_=True,
        type='mmskysense.MultiSensorDataPreprocessor',
        sensors=sensors),
    # All sensors lie on Planet's 3 m grid, so all are merged.
    backbone=dict(sensor='planetscope', sensors=sensors, merge=(2, 3, 4)),
    neck=dict(
        type='mmskysense.TemporalFusionNeck',
        in_channels=(128, 256, 512, 1024),
        sensors=sensors,
        fusion=dict(
            embed_dims=512, depth=8, num_heads=8, drop_path_rate=0.2)),
    decode_head=dict(
        in_channels=[128, 256, 512, 512], num_classes=6, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=6, norm_cfg=norm_cfg))
tile = dict(
    type='mmskysense.LoadMultiSensorTile',
    sensors=sensors,
    num_dates=dict(planetscope=2, s2_l2a=1, s1_grd=1),
    label_sensor='planetscope',
    reader_options=dict(
        s2_l2a=dict(bands=s2_bands), s1_grd=dict(bands=s1_bands)))
label = [
    dict(type='mmskysense.LoadGeoTIFFAnnotations'),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
train_pipeline = [
    tile,
    *label,
    dict(type='mmskysense.MultiSensorRandomCrop', crop_size=crop_size),
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
test_pipeline = [
    dict(**tile, random_dates=False),
    *label,
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
train_dataloader = dict(
    batch_size=1, dataset=dict(sensors=sensors, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(sensors=sensors, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(sensors=sensors, pipeline=test_pipeline))
