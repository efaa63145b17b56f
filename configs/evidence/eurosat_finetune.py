# Fine-tuning on EuroSAT, from scratch or from a pre-trained encoder:
#   --cfg-options model.backbone.init_cfg.checkpoint=ENCODER.pth
#   train_list=splits/train_1percent.txt    (make_fewshot_list.py)
_base_ = [
    '../classification/'
    'skysense_v2_tiny_finetune_1xb32-2k_sample-world-64x64.py'
]

data_root = 'data/eurosat_rgb'
train_list = 'splits/train.txt'
test_list = 'splits/test.txt'
classes = ('AnnualCrop', 'Forest', 'HerbaceousVegetation', 'Highway',
           'Industrial', 'Pasture', 'PermanentCrop', 'Residential', 'River',
           'SeaLake')
metainfo = dict(classes=classes)
max_iters = 600

model = dict(
    backbone=dict(merge=(2, 3), drop_path_rate=0.0),
    head=dict(num_classes=len(classes)))

train_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, data_prefix='images',
                 ann_file=train_list, metainfo=metainfo))
# Nothing is chosen by these: the last weights are tested.
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, data_prefix='images',
                 ann_file=test_list, metainfo=metainfo))

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop',
                 max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=False, begin=50,
         end=max_iters),
]
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=max_iters, save_best=None))
