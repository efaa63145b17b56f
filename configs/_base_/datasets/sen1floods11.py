# Flooded water from Sentinel-1 and Sentinel-2 chips as Sen1Floods11 publishes
# them: S1Hand/*_S1Hand.tif (VV, VH in dB), S2Hand/*_S2Hand.tif (13 bands,
# L1C), LabelHand/*_LabelHand.tif (-1 no label, 0 land, 1 water), and lists of
# names for the splits. default_scope = 'mmseg'. Another folder:
# --cfg-options data_root=DIR.
data_root = 'data/sen1floods11'
sensors = ('s1_grd', 's2_l2a')
classes = ('land', 'water')
# The 13 bands of the files; the loader picks the sensor's ten by name.
s2_file_bands = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08',
                 'B8A', 'B09', 'B10', 'B11', 'B12')
reader_options = dict(s2_l2a=dict(bands=s2_file_bands))
suffixes = dict(
    s1_grd='_S1Hand.tif', s2_l2a='_S2Hand.tif', seg_map='_LabelHand.tif')
data_prefix = dict(s1_grd='S1Hand', s2_l2a='S2Hand', seg_map='LabelHand')

load = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        reader_options=reader_options),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=len(classes)),
    dict(type='mmskysense.IgnoreInvalidPixels'),
]
train_pipeline = [
    *load,
    dict(type='mmskysense.MultiSensorRandomCrop', crop_size=(256, 256)),
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
test_pipeline = [*load, dict(type='mmskysense.PackMultiSensorSegInputs')]
dataset = dict(
    type='mmskysense.MultiSensorSegDataset',
    data_root=data_root,
    sensors=sensors,
    data_prefix=data_prefix,
    suffixes=suffixes,
    metainfo=dict(
        classes=classes, palette=[[190, 150, 115], [52, 120, 200]]))
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        ann_file='splits/flood_train_data.csv',
        pipeline=train_pipeline,
        **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='splits/flood_valid_data.csv',
        pipeline=test_pipeline,
        test_mode=True,
        **dataset))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='splits/flood_test_data.csv',
        pipeline=test_pipeline,
        test_mode=True,
        **dataset))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
