# Training that counts epochs and keeps the best accuracy.
_base_ = ['default_runtime.py']
default_scope = 'mmpretrain'
default_hooks = dict(
    checkpoint=dict(
        interval=10, max_keep_ckpts=1, save_best='accuracy/top1',
        rule='greater'),
    visualization=dict(type='mmskysense.PanelVisualizationHook'))
visualizer = dict(type='UniversalVisualizer')
