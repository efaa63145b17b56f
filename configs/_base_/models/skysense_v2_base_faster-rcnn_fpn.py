# The tiny detector's parts with the base encoder, mmdet's usual widths and
# anchors (32 pixels on the finest level). Datasets set num_classes.
_base_ = ['skysense_v2_tiny_faster-rcnn_fpn.py']
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.2),
    neck=dict(in_channels=[128, 256, 512, 1024], out_channels=256),
    rpn_head=dict(
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(scales=[8])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=256),
        bbox_head=dict(in_channels=256, fc_out_channels=1024)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=2000, max_per_img=1000),
                   rcnn=dict(sampler=dict(num=512))),
    test_cfg=dict(rpn=dict(max_per_img=1000)))
