"""Five-Billion-Pixels, Gaofen-2, four bands, with UPerNet: mIoU.

Data: ``docs/datasets/fbp.md``. Normalisation: pass the statistics that the
converter prints, the table's are rough. The paper publishes only head and
metric; tile size and schedule are ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/fbp.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(
    data_preprocessor=dict(sensor='gf2'),
    backbone=dict(sensor='gf2'),
    decode_head=dict(num_classes=24),
    auxiliary_head=dict(num_classes=24))
# What is validated is what is tested: nothing is chosen by it.
default_hooks = dict(checkpoint=dict(save_best=None))
