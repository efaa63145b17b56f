# Small, high-resolution RGB alone.
_base_ = [
    '../_base_/models/skysense_v2_small_pretrain.py',
    '../_base_/datasets/pretrain_rgb.py',
    '../_base_/schedules/pretrain_600k.py',
]

sensors = ('hr_rgb',)
sources = dict(_delete_=True, fused=384, hr_rgb=768)

model = dict(
    backbone=dict(sensors=sensors),
    fusion=dict(sensors=sensors),
    image_head=dict(sources=sources),
    pixel_head=dict(sources=sources),
    object_head=dict(sources=sources))
train_dataloader = dict(batch_size=32)  # of 32 GPUs: 1024
