# The rows of docs/evidence/pretraining.md: changes of one pre-training, for
#     python tools/analysis_tools/pretraining_evidence.py THIS --data-root DIR
pretrain = 'eurosat_koleo.py'

# Another start of the encoder: larger weights, blocks of stages 1-2 not as
# the identity.
_glorot = ('model.backbone.linear_init=glorot',
           'model.backbone.post_norm_scale=1.0')
# Hidden layers of the heads standardised by the batch.
_norm_image = ('model.image_head.batch_norm=True', )
_norm = _norm_image + tuple(
    f'model.{level}_head.batch_norm=True'
    for level in ('qsacl', 'pixel', 'object'))
_without_qsacl = ('model.qsacl_head=None', )
_without_places = ('model.pixel_head=None', 'model.object_head=None')
rows = dict(
    random=dict(title='random weights', trained=False),
    image=dict(
        title='image level alone, no QSACL',
        options=_without_qsacl + _without_places),
    qsacl=dict(
        title='QSACL alone',
        options=('model.image_head=None', *_without_places)),
    image_qsacl=dict(
        title='image level and QSACL', options=_without_places),
    mgcl=dict(title='MGCL (image, pixel, object), no QSACL',
              options=_without_qsacl),
    full=dict(title='QSACL and MGCL'),
    random_glorot=dict(
        title='random weights, Glorot start', trained=False,
        options=_glorot),
    image_glorot=dict(
        title='image level alone, Glorot start',
        options=_without_qsacl + _without_places + _glorot),
    full_glorot=dict(
        title='QSACL and MGCL, Glorot start', options=_glorot),
    image_glorot_norm=dict(
        title='image level alone, Glorot start, batch norm',
        options=_without_qsacl + _without_places + _glorot + _norm_image),
    full_glorot_norm=dict(
        title='QSACL and MGCL, Glorot start, batch norm',
        options=_glorot + _norm),
    # Ablations of the paper, on the full method (16 queries, no experts,
    # prompts, merging).
    queries_4=dict(title='4 queries', options=(
        'model.qsacl_head.num_queries=4', )),
    queries_8=dict(title='8 queries', options=(
        'model.qsacl_head.num_queries=8', )),
    queries_24=dict(title='24 queries', options=(
        'model.qsacl_head.num_queries=24', )),
    experts_4=dict(title='4 experts', options=(
        'model.backbone.moe.num_experts=4', )),
    experts_8=dict(title='8 experts', options=(
        'model.backbone.moe.num_experts=8', )),
    no_prompts=dict(title='no prompts', options=(
        'model.backbone.num_prompts=0', )),
    keep=dict(title='10 m data keep their resolution', options=(
        'model.backbone.merge=[]', )),
)
