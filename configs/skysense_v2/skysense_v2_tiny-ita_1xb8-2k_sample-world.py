# The toy size, all three sensors: QSACL, MGCL and image-text alignment.
_base_ = [
    '../_base_/models/skysense_v2_tiny_pretrain.py',
    '../_base_/datasets/sample_world_pretrain.py',
    '../_base_/schedules/pretrain_2k.py',
]

# Embeddings of the sample world's class names; for another map's classes:
# tools/model_converters/class_names_to_table.py.
model = dict(
    text_head=dict(
        type='mmskysense.ImageTextAlignment',
        in_channels=192,
        table='{{fileDirname}}/../_base_/class_names/'
        'sample_world_osm_all-MiniLM-L6-v2.npz',
        num_classes=10,
        temperature=0.07),
    loss_weights=dict(text=1.0))
