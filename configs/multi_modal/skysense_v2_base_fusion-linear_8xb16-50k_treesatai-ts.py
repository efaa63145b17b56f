"""TreeSatAI-TS: aerial, Sentinel-2 and Sentinel-1 series, fusion: mAP.

Beyond the paper's table: the one public set at hand with all three kinds of
sensor. Data: ``docs/datasets/treesatai.md``. Schedule ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_fusion-linear.py',
    '../_base_/datasets/treesatai.py',
    '../_base_/schedules/classification_50k.py',
    '../_base_/multi_label_runtime.py',
]
custom_imports = dict(
    imports=[
        'mmskysense', 'mmskysense.evaluation',
        'mmskysense.models.classifiers'
    ],
    allow_failed_imports=False)
sensors = ('aerial_rgbn', 's2_l2a', 's1_grd')
model = dict(
    data_preprocessor=dict(sensors=sensors),
    backbone=dict(sensor='aerial_rgbn', sensors=sensors),
    neck=dict(sensors=sensors),
    head=dict(
        num_classes=15,
        loss=dict(loss_weight=1 / 15)))
