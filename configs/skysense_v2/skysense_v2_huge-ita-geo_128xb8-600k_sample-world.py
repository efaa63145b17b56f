# Huge with every term and with geo-context: 4096 regions of 100 prototypes
# (spec section 2, notes); they alone are 1.7 GB in each branch.
_base_ = [
    '../_base_/models/skysense_v2_huge_pretrain.py',
    '../_base_/datasets/pretrain_rgb-s2-s1_osm.py',
    '../_base_/schedules/pretrain_600k.py',
]

# Embeddings of the sample world's class names; for another map's classes:
# tools/model_converters/class_names_to_table.py.
model = dict(
    text_head=dict(
        type='mmskysense.ImageTextAlignment',
        in_channels=1024,
        table='{{fileDirname}}/../_base_/class_names/'
        'sample_world_osm_all-MiniLM-L6-v2.npz',
        num_classes=10,
        temperature=0.07),
    geo_context=dict(
        type='mmskysense.GeoContextPrototypes',
        embed_dims=1024,
        regions=(64, 64),
        num_prototypes=100,
        # [ours] from here on.
        num_heads=16,
        momentum=0.99,
        temperature=0.05,
        max_places=16),
    loss_weights=dict(text=1.0))
train_dataloader = dict(batch_size=8)  # of 128 GPUs: 1024
