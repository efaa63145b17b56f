# The segmentation runtime, with the change detectors and SCS.
_base_ = ['segmentation_runtime.py']
custom_imports = dict(
    imports=[
        'mmskysense', 'mmskysense.evaluation',
        'mmskysense.models.change_detectors'
    ],
    allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(save_best='SCS', rule='greater'))
