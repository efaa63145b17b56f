# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""NWPU-RESISC45 as published: 45 class folders of 256 x 256 pixels."""

from __future__ import annotations

from .runner import ConversionReport
from .scene_splits import SceneCollection, convert_scenes

CLASSES = (
    'airplane', 'airport', 'baseball_diamond', 'basketball_court', 'beach',
    'bridge', 'chaparral', 'church', 'circular_farmland', 'cloud',
    'commercial_area', 'dense_residential', 'desert', 'forest', 'freeway',
    'golf_course', 'ground_track_field', 'harbor', 'industrial_area',
    'intersection', 'island', 'lake', 'meadow', 'medium_residential',
    'mobile_home_park', 'mountain', 'overpass', 'palace', 'parking_lot',
    'railway', 'railway_station', 'rectangular_farmland', 'river',
    'roundabout', 'runway', 'sea_ice', 'ship', 'snowberg',
    'sparse_residential', 'stadium', 'storage_tank', 'tennis_court',
    'terrace', 'thermal_power_station', 'wetland')
#: Cheng, Han and Lu, Proceedings of the IEEE 2017: 700 a class, 31,500.
RESISC45 = SceneCollection(
    'NWPU-RESISC45', dict.fromkeys(CLASSES, 700), size=256, ratios=(10, 20))


def convert_resisc45(root: str, out: str, workers: int = 1,
                     skip_bad: bool = False, partial: bool = False,
                     seed: int = 0) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/resisc45.py``.

    Args:
        root: Folder of the class folders.
        out: Folder to write, ``data_root`` of the config.
        workers: Processes.
        skip_bad: List damaged images and go on.
        partial: Accept a part of the dataset.
        seed: Of the split lists.

    Returns:
        As :func:`.scene_splits.convert_scenes`.
    """
    return convert_scenes(root, out, RESISC45, workers, skip_bad, partial,
                          seed)
