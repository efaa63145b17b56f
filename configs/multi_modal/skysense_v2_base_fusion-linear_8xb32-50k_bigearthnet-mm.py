"""BigEarthNet-MM: Sentinel-2 and Sentinel-1, fusion, linear head: mAP.

The paper's multi-modal classification row. Data:
``docs/datasets/bigearthnet.md`` (both sensors). Schedule ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_fusion-linear.py',
    '../_base_/datasets/bigearthnet_mm.py',
    '../_base_/schedules/classification_50k.py',
    '../_base_/multi_label_runtime.py',
]
custom_imports = dict(
    imports=[
        'mmskysense', 'mmskysense.evaluation',
        'mmskysense.models.classifiers'
    ],
    allow_failed_imports=False)
