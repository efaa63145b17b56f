# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Transforms: loading, geometry, radiometry, formatting."""

from .batched_jitter import BatchedRadiometricJitter
from .batched_views import BatchedMultiCropViews
from .format_classification import PackMultiSensorClsInputs
from .formatting import PackMultiSensorSegInputs, PackPretrainInputs
from .load_annotations import IgnoreInvalidPixels, LoadGeoTIFFAnnotations
from .load_change_annotations import LoadChangeAnnotations
from .load_multi_sensor import LoadMultiSensorTile
from .load_tile_labels import LoadTileLabels
from .loading import LoadGeoTIFF
from .multi_crop_views import MultiCropViews
from .multi_sensor_flip import MultiSensorFlip
from .multi_sensor_geometry import MultiSensorRandomCrop, MultiSensorRandomFlip
from .multi_sensor_resize import MultiSensorResize
from .radiometric_jitter import RadiometricJitter

__all__ = [
    'BatchedMultiCropViews', 'BatchedRadiometricJitter',
    'IgnoreInvalidPixels', 'LoadChangeAnnotations', 'LoadGeoTIFF',
    'LoadGeoTIFFAnnotations', 'LoadMultiSensorTile', 'LoadTileLabels',
    'MultiCropViews', 'MultiSensorFlip', 'MultiSensorRandomCrop',
    'MultiSensorRandomFlip',
    'MultiSensorResize', 'PackMultiSensorClsInputs',
    'PackMultiSensorSegInputs', 'PackPretrainInputs', 'RadiometricJitter'
]
