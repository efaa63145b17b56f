# Tiles of the sample world, or of any archive with an index file
# (tools/dataset_converters/build_index.py), for pre-training.
# Another archive: --cfg-options data_root=DIR
data_root = 'data/sample_world'
sensors = ('hr_rgb', 's2_l2a', 's1_grd')

data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensors=sensors)

# Sizes and scales of views are ours: the paper's are not published.
train_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        num_dates=dict(s2_l2a=6, s1_grd=4)),
    # Classes of a map, for image-text alignment; most ground has none.
    dict(type='mmskysense.LoadTileLabels', num_classes=10),
    dict(
        type='mmskysense.MultiCropViews',
        sizes=dict(hr_rgb=(128, 64), s2_l2a=(16, 8), s1_grd=(16, 8)),
        label_sizes=(64, 32),
        global_views=2,
        global_scale=(0.32, 1.0),
        local_views=4,
        local_scale=(0.05, 0.32),
        num_dates=dict(s2_l2a=3, s1_grd=2)),
    dict(type='mmskysense.RadiometricJitter'),
    dict(type='mmskysense.PackPretrainInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='mmskysense.collate_views'),
    # tools/train.py sees to it that all files exist, opens up to 200 of them
    # and loads up to 32 tiles. check_files='open' opens all of them at every
    # start, which for a large archive takes minutes.
    dataset=dict(
        type='mmskysense.MultiSensorTileDataset',
        data_root=data_root,
        index='index.json',
        split='train',
        label_key='osm',
        sensors=sensors,
        pipeline=train_pipeline))
