"""RESISC-45, trained on 10 % of each class: overall accuracy.

Data: ``docs/datasets/resisc45.md``. The paper publishes a linear head on
pooled features and the metric; that all weights are trained, and the
schedule, are ours. Encoder frozen: ``--cfg-options
model.backbone.frozen_stages=4``.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_linear.py',
    '../_base_/datasets/resisc45.py',
    '../_base_/schedules/classification_100e.py',
    '../_base_/classification_runtime.py',
]
model = dict(head=dict(num_classes=45))
# What is validated is what is tested: nothing is chosen by it.
default_hooks = dict(checkpoint=dict(save_best=None))
