# The toy size, for CPUs and for trying things out. Widths of fusion and
# heads are ours throughout; the paper's fusion has 24 layers of width 1024.
# Few prototypes and a narrow bottleneck: a batch of 8 to 16 says little about
# thousands of prototypes, and its centred targets were close to uniform with
# 1024 of them.
# Channels of what MGCL compares: the fused map and each sensor's.
sources = dict(fused=192, hr_rgb=384, s2_l2a=384, s1_grd=384)

model = dict(
    type='mmskysense.SkySenseV2Pretrainer',
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='tiny',
        sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        sensor='hr_rgb',
        out_indices=(3, ),
        drop_path_rate=0.05),
    fusion=dict(
        type='mmskysense.MultiModalTemporalFusion',
        in_channels=384,
        embed_dims=192,
        depth=2,
        num_heads=6,
        sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        drop_path_rate=0.05),
    qsacl_head=dict(
        type='mmskysense.QSACLHead',
        in_channels=192,
        num_queries=16,  # the paper's
        num_heads=6,
        num_prototypes=256,
        hidden_channels=512,
        bottleneck_channels=32,
        student_temperature=0.1),
    # MGCL at its three levels.
    image_head=dict(
        type='mmskysense.ImageContrast',
        sources=sources,
        num_prototypes=256,
        hidden_channels=512,
        bottleneck_channels=32,
        student_temperature=0.1),
    pixel_head=dict(
        type='mmskysense.PixelContrast',
        sources=sources,
        num_prototypes=256,
        hidden_channels=512,
        bottleneck_channels=32,
        student_temperature=0.1),
    object_head=dict(
        type='mmskysense.ObjectContrast',
        sources=sources,
        num_clusters=8,
        num_prototypes=256,
        hidden_channels=512,
        bottleneck_channels=32,
        student_temperature=0.1),
    max_places=64,
    # a, b, c are not published: these are ours.
    loss_weights=dict(qsacl=1.0, image=1.0, pixel=1.0, object=1.0, koleo=0.1))
