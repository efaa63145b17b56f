# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A procedural landscape with every sensor and label the package needs."""

from .catalogue import (
                        CHANGE,
                        CROP_TYPE,
                        DETECTION,
                        LAND_COVER,
                        OSM,
                        SCENE,
                        ClassTable,
)
from .generate import PRESETS, generate

__all__ = ['CHANGE', 'CROP_TYPE', 'DETECTION', 'LAND_COVER', 'OSM', 'PRESETS',
           'SCENE', 'ClassTable', 'generate']
