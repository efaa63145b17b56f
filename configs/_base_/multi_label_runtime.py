# mmpretrain, training that counts iterations and keeps the best mAP.
_base_ = ['default_runtime.py']
default_scope = 'mmpretrain'
custom_imports = dict(
    imports=['mmskysense', 'mmskysense.evaluation'],
    allow_failed_imports=False)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(
        by_epoch=False,
        interval=5000,
        max_keep_ckpts=2,
        save_best='multi-label/mAP',
        rule='greater'),
    visualization=dict(type='mmskysense.PanelVisualizationHook'))
log_processor = dict(by_epoch=False)
visualizer = dict(type='UniversalVisualizer')
