"""AIR-PolSAR-Seg, Gaofen-3, four polarisations, with UPerNet: mIoU.

Data: ``docs/datasets/air_polsar_seg.md``. Normalisation: pass the statistics
that the converter prints, the table's are rough. The paper publishes only
head and metric; the schedule is ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/air_polsar_seg.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(
    data_preprocessor=dict(sensor='gf3_polsar'),
    backbone=dict(sensor='gf3_polsar'),
    decode_head=dict(num_classes=6),
    auxiliary_head=dict(num_classes=6))
train_cfg = dict(max_iters=20000, val_interval=2000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=500,
         end=20000),
]
# What is validated is what is tested: nothing is chosen by it.
default_hooks = dict(checkpoint=dict(interval=2000, save_best=None))
