"""fMoW-Sentinel, 62 classes of land use from one Sentinel-2 image: top-1/5.

Data: ``docs/datasets/fmow_sentinel.md``. The paper publishes the metrics;
head, input size and schedule are ours.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_multi-label.py',
    '../_base_/datasets/fmow_sentinel.py',
    '../_base_/schedules/classification_50k.py',
    '../_base_/multi_label_runtime.py',
]
model = dict(
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=62,
        in_channels=1024,
        topk=(1, 5),
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))
# The last checkpoint counts, not the best one on the published split.
default_hooks = dict(checkpoint=dict(save_best=None))
