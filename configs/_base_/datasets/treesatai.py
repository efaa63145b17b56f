# TreeSatAI-Time-Series: an aerial image, a Sentinel-2 and a Sentinel-1 series
# of the same 60 m (tools/dataset_converters/treesatai.py), 15 genera of trees,
# many labels a site. default_scope = 'mmpretrain'. The first release has no
# validation list: then --cfg-options val_dataloader=None val_cfg=None
# val_evaluator=None default_hooks.checkpoint.save_best=None
data_root = 'data/treesatai'
sensors = ('aerial_rgbn', 's2_l2a', 's1_grd')
load = dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors)
train_pipeline = [
    load,
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorClsInputs'),
]
test_pipeline = [load, dict(type='mmskysense.PackMultiSensorClsInputs')]
dataset = dict(
    type='mmskysense.MultiSensorClsDataset',
    data_root=data_root,
    sensors=sensors,
    multi_label=True,
    check_files=False,
    metainfo=dict(
        classes=('Abies', 'Acer', 'Alnus', 'Betula', 'Cleared', 'Fagus',
                 'Fraxinus', 'Larix', 'Picea', 'Pinus', 'Populus', 'Prunus',
                 'Pseudotsuga', 'Quercus', 'Tilia')))
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline))
test_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='test', test_mode=True, pipeline=test_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, split='val', test_mode=True, pipeline=test_pipeline))
test_evaluator = [
    dict(type='AveragePrecision'),
    dict(type='mmskysense.MicroAveragePrecision'),
]
val_evaluator = test_evaluator
