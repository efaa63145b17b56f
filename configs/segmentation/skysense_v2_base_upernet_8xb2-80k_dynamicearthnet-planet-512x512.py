"""DynamicEarthNet from Planet, four bands, with UPerNet: mIoU on val.

Data: ``docs/datasets/dynamicearthnet.md``. One image a month, its first day,
as the labels'. The paper publishes only head and metric; crop and schedule
are ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/dynamicearthnet.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(
    data_preprocessor=dict(sensor='planetscope'),
    backbone=dict(sensor='planetscope'),
    decode_head=dict(num_classes=6),
    auxiliary_head=dict(num_classes=6))
