"""ISPRS Potsdam, RGB, with UPerNet: mF1.

Data: ``docs/datasets/potsdam.md``. Tile size, schedule and split are mmseg's;
the paper publishes only head and metric.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/potsdam.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(
    decode_head=dict(num_classes=6), auxiliary_head=dict(num_classes=6))
# What is validated is what is tested: nothing is chosen by it.
default_hooks = dict(checkpoint=dict(save_best=None))
