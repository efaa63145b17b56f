"""DIOR, horizontal boxes, with the paper's protocol: mAP50.

Data: ``docs/datasets/dior.md``. Faster R-CNN and FPN, 800 pixels, 12 epochs,
AdamW 1e-4.
"""
_base_ = [
    '../_base_/models/skysense_v2_base_faster-rcnn_fpn.py',
    '../_base_/datasets/dior.py',
    '../_base_/schedules/detection_12e.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmdet'
model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1),
    visualization=dict(type='DetVisualizationHook'))
visualizer = dict(type='DetLocalVisualizer')
