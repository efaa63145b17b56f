# Sentinel-2 series alone, views for a full-size run.
# Sample world by default; another archive with an index file
# (tools/dataset_converters/build_index.py): --cfg-options data_root=DIR
# Sizes, scales and numbers of views and dates are ours: the paper's are not
# published.
data_root = 'data/sample_world'
sensors = ('s2_l2a',)

data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensors=sensors)

train_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        num_dates=dict(s2_l2a=8)),
    dict(
        type='mmskysense.MultiCropViews',
        sizes=dict(s2_l2a=(32, 16)),
        global_views=2,
        global_scale=(0.32, 1.0),
        local_views=4,
        local_scale=(0.05, 0.32),
        num_dates=dict(s2_l2a=4)),
    dict(type='mmskysense.RadiometricJitter'),
    dict(type='mmskysense.PackPretrainInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='mmskysense.collate_views'),
    dataset=dict(
        type='mmskysense.MultiSensorTileDataset',
        data_root=data_root,
        index='index.json',
        split='train',
        sensors=sensors,
        pipeline=train_pipeline))
