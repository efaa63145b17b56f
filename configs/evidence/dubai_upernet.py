# Land cover of aerial images with UPerNet, from scratch or pre-trained:
#   --cfg-options model.backbone.init_cfg.checkpoint=ENCODER.pth
# Folder: images/*.jpg, masks/*.png (0 = unlabelled), splits/*.txt of names.
_base_ = [
    '../segmentation/skysense_v2_tiny_upernet_1xb4-2k_sample-world-256x256.py'
]

data_root = 'data/dubai_seg'
metainfo = dict(
    classes=('water', 'land', 'road', 'building', 'vegetation'),
    palette=[[52, 120, 200], [190, 150, 115], [120, 120, 120], [205, 60, 50],
             [38, 110, 52]])
max_iters = 600

model = dict(
    backbone=dict(drop_path_rate=0.0),
    decode_head=dict(num_classes=5),
    auxiliary_head=dict(num_classes=5),
    # Images of up to 2149 px: in windows, as for training.
    test_cfg=dict(mode='slide', crop_size=(256, 256), stride=(192, 192)))

_load = dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb')
_labels = dict(type='LoadAnnotations', reduce_zero_label=True)
train_pipeline = [
    _load,
    _labels,
    dict(type='RandomCrop', crop_size=(256, 256), cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
test_pipeline = [_load, _labels, dict(type='PackSegInputs')]
_dataset = dict(
    _delete_=True,
    type='BaseSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='images', seg_map_path='masks'),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    reduce_zero_label=True,
    metainfo=metainfo)

train_dataloader = dict(
    num_workers=1,
    dataset=dict(**_dataset, ann_file='splits/train.txt',
                 pipeline=train_pipeline))
# Nothing is chosen by these: the last weights are tested.
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = dict(
    num_workers=1,
    dataset=dict(**_dataset, ann_file='splits/test.txt', test_mode=True,
                 pipeline=test_pipeline))

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop',
                 max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=50,
         end=max_iters),
]
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=max_iters, save_best=None))
