"""FAIR1M, oriented boxes of 37 fine classes, Oriented R-CNN: mAP.

Data: ``docs/datasets/fair1m.md``; tiles of 1024 pixels with DOTA's text files
in mmrotate's own dataset, trained on train, validated on tiles of the
validation split: the labels of test are not public. The detector is
mmrotate's stock config with encoder, widths and classes changed; 12 epochs
and AdamW 1e-4 are those of DIOR's row of the paper, which gives the
detector's name alone for this one.
"""
_base_ = ['mmrotate::oriented_rcnn/oriented-rcnn-le90_r50_fpn_1x_dota.py']
default_scope = 'mmrotate'
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)
randomness = dict(seed=0)
model = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='mmskysense.MultiSensorDataPreprocessor',
        sensor='hr_rgb',
        pad_size_divisor=32),
    backbone=dict(
        _delete_=True,
        type='mmskysense.SkySenseV2',
        arch='base',
        sensor='hr_rgb',
        drop_path_rate=0.2),
    neck=dict(in_channels=[128, 256, 512, 1024]),
    roi_head=dict(bbox_head=dict(num_classes=37)))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmskysense.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.9),
    clip_grad=dict(max_norm=1.0, norm_type=2))
train_cfg = dict(max_epochs=12, val_interval=12)
# Objects of which a tile shows too little are marked, and neither trained on
# nor counted: diff_thr.
data_root = 'data/fair1m'
metainfo = dict(
    classes=('Passenger-Ship', 'Motorboat', 'Fishing-Boat', 'Tugboat',
             'other-ship', 'Engineering-Ship', 'Liquid-Cargo-Ship',
             'Dry-Cargo-Ship', 'Warship', 'Small-Car', 'Bus', 'Cargo-Truck',
             'Dump-Truck', 'other-vehicle', 'Van', 'Trailer', 'Tractor',
             'Excavator', 'Truck-Tractor', 'Boeing737', 'Boeing747',
             'Boeing777', 'Boeing787', 'ARJ21', 'C919', 'A220', 'A321',
             'A330', 'A350', 'other-airplane', 'Baseball-Field',
             'Basketball-Court', 'Football-Field', 'Tennis-Court',
             'Roundabout', 'Intersection', 'Bridge'),
    # One hue a superclass: ships blue, vehicles red, airplanes green,
    # courts yellow, roads violet (ours).
    palette=[(0, 60 + 20 * i, 255) for i in range(9)] +
    [(255, 20 * i, 20 * i) for i in range(10)] +
    [(20 * i, 255, 20 * i) for i in range(11)] +
    [(255, 255, 40 * i) for i in range(4)] +
    [(160, 60 * i, 255) for i in range(3)])
load_boxes = [
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
]
train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    *load_boxes,
    dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
    dict(
        type='mmdet.RandomFlip',
        prob=0.75,
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='mmdet.PackDetInputs'),
]
# Boxes are loaded after resizing: the truth stays in the pixels of the file.
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
    *load_boxes,
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]
dataset = dict(
    type='DOTADataset',
    data_root=data_root,
    img_suffix='png',
    diff_thr=0,
    metainfo=metainfo)
train_dataloader = dict(
    _delete_=True,
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='labels/train/',
        data_prefix=dict(img_path='images/train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='labels/val/',
        data_prefix=dict(img_path='images/val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='DOTAMetric', metric='mAP')
test_evaluator = val_evaluator
