# Huge: the paper's size. Encoder of widths 352 to 2816, 8 experts in the last
# 6 blocks, fusion of 24 layers of width 1024 with 16 heads and drop path 0.3,
# 16 queries (spec sections 1 to 3). [ours] marks what is unpublished.
# Channels of what MGCL compares: the fused map and each sensor's.
sources = dict(fused=1024, hr_rgb=2816, s2_l2a=2816, s1_grd=2816)

model = dict(
    type='mmskysense.SkySenseV2Pretrainer',
    backbone=dict(
        type='mmskysense.SkySenseV2',
        arch='huge',
        sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        sensor='hr_rgb',
        out_indices=(3, ),
        moe=dict(
            blocks=6,
            num_experts=8,
            top_k=1,
            balance_weight=0.01),  # balance: [ours]
        num_prompts=4,
        with_cp=True,
        drop_path_rate=0.3),  # [ours]
    fusion=dict(
        type='mmskysense.MultiModalTemporalFusion',
        in_channels=2816,
        embed_dims=1024,
        depth=24,
        num_heads=16,
        sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        with_cp=True,
        drop_path_rate=0.3),
    # CL is unpublished: heads, prototypes and temperatures are [ours].
    qsacl_head=dict(
        type='mmskysense.QSACLHead',
        in_channels=1024,
        num_queries=16,  # the paper's
        num_heads=16,
        num_prototypes=65536,
        hidden_channels=2048,
        bottleneck_channels=256,
        student_temperature=0.1),
    # Of the local views, so many that the teacher sees for QSACL, [ours]: with
    # all four QSACL takes twice as much of a step
    # (docs/benchmarks/pretraining.md).
    qsacl_local_views=2,
    # MGCL at its three levels.
    image_head=dict(
        type='mmskysense.ImageContrast',
        sources=sources,
        num_prototypes=65536,
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
