# Base, Sentinel-1 and Sentinel-2 series.
_base_ = [
    '../_base_/models/skysense_v2_base_pretrain.py',
    '../_base_/datasets/pretrain_s1-s2.py',
    '../_base_/schedules/pretrain_600k.py',
]

sensors = ('s2_l2a', 's1_grd')
sources = dict(_delete_=True, fused=512, s2_l2a=1024, s1_grd=1024)

model = dict(
    backbone=dict(sensors=sensors, sensor='s2_l2a'),
    fusion=dict(sensors=sensors),
    image_head=dict(sources=sources),
    pixel_head=dict(sources=sources),
    object_head=dict(sources=sources))
train_dataloader = dict(batch_size=16)  # of 64 GPUs: 1024
