"""BigEarthNet-S2, all training labels: multi-label mAP over 19 classes.

Data: ``docs/datasets/bigearthnet.md``. The paper publishes the dataset and
the metric; which split and which mean was not verified, the schedule is ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_multi-label.py',
    '../_base_/datasets/bigearthnet_s2.py',
    '../_base_/schedules/classification_50k.py',
    '../_base_/multi_label_runtime.py',
]
