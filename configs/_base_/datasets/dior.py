# DIOR, 800 x 800 pixels: COCO JSON of tools/dataset_converters/dior.py in
# mmdet's own dataset. default_scope = 'mmdet'. Trained on trainval, tested on
# test; mAP at an overlap of 0.5 as PASCAL VOC counts it (area under the
# curve), difficult objects neither hit nor missed.
data_root = 'data/dior'
metainfo = dict(
    classes=('airplane', 'airport', 'baseballfield', 'basketballcourt',
             'bridge', 'chimney', 'expressway-service-area',
             'expressway-toll-station', 'dam', 'golffield',
             'groundtrackfield', 'harbor', 'overpass', 'ship', 'stadium',
             'storagetank', 'tenniscourt', 'trainstation', 'vehicle',
             'windmill'))
train_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(800, 800), keep_ratio=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25],
        direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
# Boxes are loaded after resizing: the truth stays in the pixels of the file.
test_pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb'),
    dict(type='Resize', scale=(800, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]
dataset = dict(type='CocoDataset', data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='trainval.json',
        data_prefix=dict(img='images/trainval/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='test.json',
        data_prefix=dict(img='images/test/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='area')
test_evaluator = val_evaluator
