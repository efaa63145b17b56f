"""iSAID with the paper's protocol: UPerNet, FCN auxiliary head, mIoU.

Data: ``docs/datasets/isaid.md``. Pre-trained weights:
``--cfg-options model.backbone.init_cfg.checkpoint=encoder.pth``. The paper's
best row keeps the resolution from stage 2 on: ``model.backbone.merge="()"``
(72.88 mIoU against 71.87 with the default (2, 3, 4)).
"""
_base_ = [
    '../_base_/models/skysense_v2_base_upernet.py',
    '../_base_/datasets/isaid.py',
    '../_base_/schedules/segmentation_80k.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(896, 896)),
    decode_head=dict(num_classes=16),
    auxiliary_head=dict(num_classes=16))
# What is validated is what is tested: nothing is chosen by it.
default_hooks = dict(checkpoint=dict(save_best=None))
