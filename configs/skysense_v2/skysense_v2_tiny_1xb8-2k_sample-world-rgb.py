# The toy size, high-resolution RGB alone.
_base_ = [
    '../_base_/models/skysense_v2_tiny_pretrain.py',
    '../_base_/datasets/pretrain_rgb.py',
    '../_base_/schedules/pretrain_2k.py',
]

sensors = ('hr_rgb',)
sources = dict(_delete_=True, fused=192, hr_rgb=384)

model = dict(
    backbone=dict(sensors=sensors),
    fusion=dict(sensors=sensors),
    image_head=dict(sources=sources),
    pixel_head=dict(sources=sources),
    object_head=dict(sources=sources))

# Smaller views than those of the other sizes, for CPUs.
train_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors),
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
    batch_size=8,
    num_workers=2,
    dataset=dict(pipeline=train_pipeline))
