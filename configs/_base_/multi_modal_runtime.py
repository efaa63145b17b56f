# The segmentation runtime, with the segmentor that knows dates.
_base_ = ['segmentation_runtime.py']
custom_imports = dict(
    imports=['mmskysense', 'mmskysense.models.segmentors'],
    allow_failed_imports=False)
