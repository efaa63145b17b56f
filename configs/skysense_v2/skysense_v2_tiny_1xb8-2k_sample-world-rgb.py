# High-resolution RGB alone.
_base_ = './skysense_v2_tiny_1xb8-2k_sample-world.py'

sensors = ('hr_rgb', )
data_preprocessor = dict(sensors=sensors)
model = dict(
    backbone=dict(sensors=sensors),
    fusion=dict(sensors=sensors),
    image_head=dict(sources=dict(_delete_=True, fused=192, hr_rgb=384)))

train_pipeline = [
    dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors),
    dict(
        type='mmskysense.MultiCropViews',
        sizes=dict(hr_rgb=(128, 64)),
        global_views=2,
        global_scale=(0.32, 1.0),
        local_views=4,
        local_scale=(0.05, 0.32)),
    dict(type='mmskysense.RadiometricJitter'),
    dict(type='mmskysense.PackPretrainInputs'),
]
train_dataloader = dict(
    dataset=dict(
        label_key=None, sensors=sensors, pipeline=train_pipeline))
