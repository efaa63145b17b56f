# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Datasets and their transforms."""

from .air_polsar_seg import AIRPolSARSegDataset
from .big_earth_net import BigEarthNetDataset
from .collate import collate_views
from .dynamicearthnet import DynamicEarthNetDataset
from .dynamicearthnet_change import DynamicEarthNetChangeDataset
from .five_billion_pixels import FiveBillionPixelsDataset
from .fmow_sentinel import FMoWSentinelDataset
from .multi_sensor_classification import MultiSensorClsDataset
from .multi_sensor_segmentation import MultiSensorSegDataset
from .multi_sensor_tiles import MultiSensorTileDataset
from .pastis import PASTISDataset
from .rare_class_sampler import RareClassSampler
from .scene_classification import SceneDataset
from .sparcs import SPARCSDataset
from .tiled_segmentation import TiledSegDataset
from .transforms import *  # noqa: F403

__all__ = [
    'AIRPolSARSegDataset', 'BigEarthNetDataset',
    'DynamicEarthNetChangeDataset',
    'DynamicEarthNetDataset',
    'FMoWSentinelDataset', 'FiveBillionPixelsDataset', 'MultiSensorClsDataset',
    'MultiSensorSegDataset',
    'MultiSensorTileDataset', 'PASTISDataset', 'RareClassSampler',
    'SPARCSDataset', 'SceneDataset', 'TiledSegDataset', 'collate_views'
]
