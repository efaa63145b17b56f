# Sentinel-2 and Sentinel-1 series, without high-resolution images.
_base_ = './skysense_v2_tiny_1xb8-2k_sample-world.py'

sensors = ('s2_l2a', 's1_grd')
data_preprocessor = dict(sensors=sensors)
model = dict(
    backbone=dict(sensors=sensors, sensor='s2_l2a'),
    fusion=dict(sensors=sensors),
    image_head=dict(
        sources=dict(_delete_=True, fused=192, s2_l2a=384, s1_grd=384)))

train_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        num_dates=dict(s2_l2a=6, s1_grd=4)),
    dict(
        type='mmskysense.MultiCropViews',
        sizes=dict(s2_l2a=(24, 12), s1_grd=(24, 12)),
        global_views=2,
        global_scale=(0.32, 1.0),
        local_views=4,
        local_scale=(0.05, 0.32),
        num_dates=dict(s2_l2a=3, s1_grd=2)),
    dict(type='mmskysense.RadiometricJitter'),
    dict(type='mmskysense.PackPretrainInputs'),
]
train_dataloader = dict(
    dataset=dict(
        label_key=None, sensors=sensors, pipeline=train_pipeline))
