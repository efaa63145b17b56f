# Huge with every term and with geo-context: 4096 regions of 100 prototypes
# (spec section 2, notes); they alone are 1.7 GB in each branch.
_base_ = [
    '../_base_/models/skysense_v2_huge_pretrain.py',
    '../_base_/datasets/pretrain_rgb-s2-s1_osm.py',
    '../_base_/schedules/pretrain_600k.py',
]

# Learned vectors stand in for embeddings of the names; those of a text
# encoder: table='FILE.npz' (tools/model_converters/class_names_to_table.py).
model = dict(
    text_head=dict(
        type='mmskysense.ImageTextAlignment',
        in_channels=1024,
        table=None,
        num_classes=10,
        learnable=True,
        embed_dims=384,
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
