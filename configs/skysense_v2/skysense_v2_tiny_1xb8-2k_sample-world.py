# The toy size on the sample world, all three sensors: QSACL and MGCL.
_base_ = [
    '../_base_/models/skysense_v2_tiny_pretrain.py',
    '../_base_/datasets/pretrain_rgb-s2-s1.py',
    '../_base_/schedules/pretrain_2k.py',
]

# Smaller views than those of the other sizes, for CPUs.
train_pipeline = [
    dict(
        type='mmskysense.LoadMultiSensorTile',
        sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        num_dates=dict(s2_l2a=6, s1_grd=4)),
    dict(
        type='mmskysense.MultiCropViews',
        sizes=dict(hr_rgb=(128, 64), s2_l2a=(16, 8), s1_grd=(16, 8)),
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
    dataset=dict(pipeline=train_pipeline))
