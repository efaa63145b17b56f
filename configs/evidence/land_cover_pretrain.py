# Pre-training on Sentinel-1 and Sentinel-2 together, with the classes of a
# land-cover map for image-text alignment: real chips of 56 px at 10 m, one
# date. For docs/evidence/pretraining.md; model.text_head=None leaves the map
# out, model.qsacl_head=None the queries.
_base_ = [
    '../_base_/models/skysense_v2_tiny_pretrain.py',
    '../_base_/schedules/pretrain_2k.py',
]

data_root = 'data/land_cover_chips'
sensors = ('s2_l2a', 's1_grd')
sources = dict(_delete_=True, fused=192, s2_l2a=384, s1_grd=384)
num_classes = 10
_heads = dict(num_prototypes=64, batch_norm=True)

model = dict(
    backbone=dict(
        sensors=sensors,
        sensor='s2_l2a',
        drop_path_rate=0.0,
        linear_init='glorot',
        post_norm_scale=1.0),
    fusion=dict(sensors=sensors, drop_path_rate=0.0),
    qsacl_head=_heads,
    image_head=dict(sources=sources, **_heads),
    pixel_head=dict(sources=sources, **_heads),
    object_head=dict(sources=sources, num_clusters=4, **_heads),
    # Made by tools/model_converters/class_names_to_table.py.
    text_head=dict(
        type='mmskysense.ImageTextAlignment',
        in_channels=192,
        table=f'{data_root}/classes.npz',
        num_classes=num_classes,
        temperature=0.07),
    loss_weights=dict(text=1.0),
    qsacl_local_views=1)

data_preprocessor = dict(
    type='mmskysense.MultiSensorDataPreprocessor', sensors=sensors)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='mmskysense.collate_views'),
    dataset=dict(
        type='mmskysense.MultiSensorTileDataset',
        data_root=data_root,
        index='index.json',
        split='train',
        label_key='land_cover',
        sensors=sensors,
        pipeline=[
            dict(
                type='mmskysense.LoadMultiSensorTile',
                sensors=sensors,
                cache_bytes=256 * 1024 * 1024),
            dict(
                type='mmskysense.LoadTileLabels', num_classes=num_classes),
            # At a stride of 4, 8 x 8 and 4 x 4 places.
            dict(
                type='mmskysense.MultiCropViews',
                sizes=dict(s2_l2a=(32, 16), s1_grd=(32, 16)),
                label_sizes=(32, 16),
                global_views=2,
                global_scale=(0.2, 1.0),
                local_views=4,
                local_scale=(0.05, 0.2)),
            dict(type='mmskysense.RadiometricJitter'),
            dict(type='mmskysense.PackPretrainInputs'),
        ]))

max_iters = 200
warmup_iters = 30
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=False,
        begin=warmup_iters,
        end=max_iters),
]
custom_hooks = [
    dict(
        type='mmskysense.QSACLHook',
        teacher_temperature=(0.04, 0.05),
        teacher_temperature_iters=100,
        momentum=(0.98, 0.999),
        freeze_prototypes_iters=20,
        interval=50,
        warn_after=200)
]
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=100))
