# Small: the encoder of Swin V2 tiny's widths and depths. The paper has the
# huge size alone: widths and depths of fusion and heads here are ours.
# Channels of what MGCL compares: the fused map and each sensor's.
sources = dict(fused=384, hr_rgb=768, s2_l2a=768, s1_grd=768)

model = dict(
    type='mmskysense.SkySenseV2Pretrainer',
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='small',
        sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        sensor='hr_rgb',
        out_indices=(3, ),
        drop_path_rate=0.1),
    fusion=dict(
        type='mmskysense.MultiModalTemporalFusion',
        in_channels=768,
        embed_dims=384,
        depth=4,
        num_heads=6,
        sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        drop_path_rate=0.1),
    # Prototypes within the 8k to 65k of the spec (section 3), by size.
    qsacl_head=dict(
        type='mmskysense.QSACLHead',
        in_channels=384,
        num_queries=16,  # the paper's
        num_heads=6,
        num_prototypes=8192,
        hidden_channels=2048,
        bottleneck_channels=256,
        student_temperature=0.1),
    # Of the local views, so many that the teacher sees for QSACL, [ours]: with
    # all four QSACL takes three times as much of a step
    # (docs/benchmarks/pretraining.md).
    qsacl_local_views=1,
    # MGCL at its three levels.
    image_head=dict(
        type='mmskysense.ImageContrast',
        sources=sources,
        num_prototypes=8192,
        hidden_channels=2048,
        bottleneck_channels=256,
        student_temperature=0.1),
    # Thousands of places and clusters a step: logits of more prototypes than
    # this would take most of the memory.
    pixel_head=dict(
        type='mmskysense.PixelContrast',
        sources=sources,
        num_prototypes=8192,
        hidden_channels=2048,
        bottleneck_channels=256,
        student_temperature=0.1),
    object_head=dict(
        type='mmskysense.ObjectContrast',
        sources=sources,
        num_clusters=8,
        num_prototypes=8192,
        hidden_channels=2048,
        bottleneck_channels=256,
        student_temperature=0.1),
    max_places=64,
    # a, b, c are not published: these are ours.
    loss_weights=dict(qsacl=1.0, image=1.0, pixel=1.0, object=1.0, koleo=0.1))
