# Training that counts iterations and keeps the best mIoU.
_base_ = ['default_runtime.py']
default_scope = 'mmseg'
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(
        by_epoch=False, interval=8000, max_keep_ckpts=2, save_best='mIoU'),
    # Paints when tools/test.py gets --show-dir.
    visualization=dict(type='mmskysense.PanelVisualizationHook'))
log_processor = dict(by_epoch=False)
