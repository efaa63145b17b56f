# Three scenes of DOTA cut into 51 tiles of 256 px, for
# docs/evidence/downstream.md: Oriented R-CNN learns them by heart. Trained
# and evaluated on the same tiles: a check of the line, not a result.
_base_ = [
    '../oriented_detection/'
    'skysense_v2_base_oriented-rcnn_fpn_8xb2-12e_dior-r-800x800.py'
]

data_root = 'data/dota_obb_samples/tiles'
# Those that occur in the three scenes.
metainfo = dict(
    classes=('ship', 'harbor', 'large-vehicle', 'small-vehicle', 'plane'),
    palette=[(0, 160, 255), (160, 0, 255), (255, 60, 0), (255, 225, 0),
             (0, 255, 80)])
max_iters = 500
warmup_iters = 50

model = dict(
    backbone=dict(arch='tiny', drop_path_rate=0.0),
    neck=dict(in_channels=[48, 96, 192, 384], out_channels=64),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        # Vehicles are 10 to 20 pixels long, 20 to 40 after resizing.
        anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(
            in_channels=64, fc_out_channels=256, num_classes=5)))

load_boxes = [
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
]
train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    *load_boxes,
    dict(type='mmdet.Resize', scale=(448, 448), keep_ratio=True),
    dict(
        type='mmdet.RandomFlip',
        prob=0.75,
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='mmdet.Resize', scale=(448, 448), keep_ratio=True),
    *load_boxes,
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]
tiles = dict(
    data_root=data_root,
    ann_file='labelTxt/',
    data_prefix=dict(img_path='images/'),
    img_suffix='png',
    # Difficult objects of these scenes are learned as well.
    diff_thr=100,
    metainfo=metainfo)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    # Four planes among 976 ships: by chance they are hardly ever seen.
    sampler=dict(type='mmskysense.RareClassSampler', shuffle=True),
    dataset=dict(**tiles, pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(**tiles, pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=1.0))
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=False,
        begin=warmup_iters,
        end=max_iters),
]
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(by_epoch=False, interval=250, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
