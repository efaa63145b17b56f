# Flood water from Sentinel-1 and Sentinel-2 chips, in the published layout of
# Sen1Floods11: S1/*_S1Hand.tif, S2/*_S2Hand.tif, label/*_LabelHand.tif
# (-1 = no label). default_scope = 'mmseg'. Another folder: --cfg-options
#   train_dataloader.dataset.data_root=DIR (val_, test_ alike), and
#   train_dataloader.dataset.ann_file=splits/train.csv (default: all chips).
dataset_type = 'mmskysense.MultiSensorSegDataset'
data_root = 'data/sen1floods11'
sensors = ('s1_grd', 's2_l2a')
metainfo = dict(
    classes=('land', 'water'), palette=[[200, 190, 150], [40, 110, 220]])
data_prefix = dict(s1_grd='S1', s2_l2a='S2', seg_map='label')
suffixes = dict(
    s1_grd='_S1Hand.tif', s2_l2a='_S2Hand.tif', seg_map='_LabelHand.tif')
crop_size = (256, 256)

data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensors=sensors)

train_pipeline = [
    dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', nodata=-1),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(type='mmskysense.MultiSensorRandomCrop', crop_size=crop_size),
    dict(type='mmskysense.MultiSensorRandomFlip', prob=0.5),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]
test_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=sensors,
        random_dates=False),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', nodata=-1),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        sensors=sensors,
        ann_file='',
        data_prefix=data_prefix,
        suffixes=suffixes,
        metainfo=metainfo,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        sensors=sensors,
        ann_file='',
        data_prefix=data_prefix,
        suffixes=suffixes,
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
