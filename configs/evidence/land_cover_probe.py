# Land cover of every pixel from Sentinel-1 and Sentinel-2: the set that
# tools/probe.py judges the encoders of land_cover_pretrain.py by.
default_scope = 'mmseg'
data_root = 'data/land_cover_chips'
sensors = ('s2_l2a', 's1_grd')
classes = ('no data', 'water', 'trees', 'flooded vegetation', 'crops',
           'built area', 'bare ground', 'snow or ice', 'clouds', 'rangeland')

pipeline = [
    dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=len(classes)),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
_dataset = dict(
    type='mmskysense.MultiSensorSegDataset',
    data_root=data_root,
    sensors=sensors,
    index='index.json',
    label_key='land_cover',
    metainfo=dict(classes=classes),
    pipeline=pipeline)
train_dataloader = dict(dataset=dict(split='train', **_dataset))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **_dataset))
data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensors=sensors)
