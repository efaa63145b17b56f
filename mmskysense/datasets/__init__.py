# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Datasets and their transforms."""

from .collate import collate_views
from .multi_sensor_segmentation import MultiSensorSegDataset
from .multi_sensor_tiles import MultiSensorTileDataset
from .scene_classification import SceneDataset
from .transforms import *  # noqa: F403

__all__ = [
    'MultiSensorSegDataset', 'MultiSensorTileDataset', 'SceneDataset',
    'collate_views'
]
