# Host configs (mmseg, mmdet, mmpretrain) set default_scope to the host's.
default_scope = 'mmskysense'
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    # Iterations, not epochs: else all scores are logged at step 0.
    logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1),
    sampler_seed=dict(type='DistSamplerSeedHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # On a machine without a GPU tools/train.py makes this gloo.
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='Visualizer', vis_backends=vis_backends, name='visualizer')

log_processor = dict(window_size=10)
log_level = 'INFO'
load_from = None
resume = False
# Every figure of this project is reproducible: fixed unless overridden.
randomness = dict(seed=0)
