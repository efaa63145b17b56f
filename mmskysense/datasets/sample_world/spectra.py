# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Typical reflectance of surface materials in Sentinel-2's ten land bands.

The values are ours: approximations read off published spectra (USGS
Spectral Library Version 7, Kokaly et al. 2017; ECOSTRESS spectral library,
Meerdink et al. 2019; urban materials after Herold et al. 2004; turbid
inland water after Doxaran et al. 2002), rounded to what a 10 m sensor
sees. They are made to be plausible, not to be measured.
"""

from __future__ import annotations

import numpy as np

# Bidirectional surface reflectance in percent, bands in the order of the
# sensor table: B02 B03 B04 B05 B06 B07 B08 B8A B11 B12.
_PERCENT = {
    'canopy': (2.6, 6.8, 3.6, 9.8, 30, 39, 42, 43, 19, 9),
    'canopy_dark': (2.0, 5.0, 2.8, 8.0, 28, 36, 39, 40, 17, 7.5),
    'deciduous': (2.0, 4.9, 3.1, 8.2, 26, 33, 36, 37, 17, 7.5),
    'deciduous_autumn': (3.5, 7.5, 9.5, 15, 23, 27, 30, 31, 21, 11),
    'deciduous_bare': (4.0, 5.2, 6.0, 8.0, 12, 14, 16, 17, 18, 11),
    'conifer': (1.6, 3.0, 2.3, 4.6, 14, 18, 20, 21, 10, 4.6),
    'grass': (3.2, 7.4, 4.9, 11, 27, 34, 37, 38, 22, 11),
    'grass_dry': (6.5, 10, 11.5, 15, 20, 23, 26, 27, 32, 21),
    'straw': (8.5, 12.5, 17, 20, 23, 25, 28, 29, 37, 26),
    'flower_yellow': (4.6, 17, 17.5, 24, 36, 42, 45, 46, 23, 11),
    'soil_loam': (6.5, 8.8, 11.5, 13, 14.5, 16, 17.5, 18.5, 25, 21),
    'soil_chalk': (13, 17, 21, 23, 25, 26.5, 28, 29, 36, 32),
    'soil_dark': (4.2, 5.6, 7.2, 8, 9, 10, 11, 12, 17, 14),
    'soil_red': (4.8, 7.4, 13, 15, 17, 18.5, 20, 21, 28, 24),
    'water_clear': (2.6, 2.3, 1.3, 1.0, 0.8, 0.8, 0.6, 0.6, 0.3, 0.2),
    'water_green': (2.6, 4.0, 2.2, 2.6, 1.3, 1.2, 1.0, 0.9, 0.4, 0.3),
    'water_turbid': (4.8, 7.4, 7.0, 5.6, 3.2, 3.1, 2.6, 2.2, 0.7, 0.4),
    'asphalt_new': (5.5, 6.0, 6.4, 6.7, 7, 7.3, 7.6, 7.8, 9.5, 9),
    'asphalt_old': (11, 12.5, 13.5, 14, 14.6, 15, 15.6, 16, 18.5, 18),
    'concrete': (19, 22, 24.5, 25.5, 26.5, 27.3, 28, 28.6, 31, 30),
    'gravel': (12, 15, 18, 19.5, 20.5, 21.5, 22.5, 23, 28, 26),
    'sand': (16, 21, 26, 28, 29.5, 31, 32.5, 33.5, 41, 38),
    'rock': (15, 18, 20.5, 21.5, 22.5, 23.5, 24.5, 25, 29, 27),
    'tile_red': (6.0, 8.0, 15.5, 18, 20, 21.5, 23, 24, 30, 27),
    'tile_brown': (5.4, 7.0, 9.8, 11, 12.2, 13.2, 14.2, 15, 21, 19),
    'slate': (6.8, 7.3, 7.8, 8.1, 8.4, 8.7, 9, 9.2, 11, 10.5),
    'fibre_cement': (12.5, 14, 15, 15.6, 16.2, 16.8, 17.4, 17.8, 20, 19),
    'bitumen': (6.4, 7.0, 7.6, 7.9, 8.2, 8.6, 9, 9.2, 11, 10.8),
    'metal': (30, 32, 33, 33.5, 34, 34.5, 35, 35.4, 38, 37),
    'paint_white': (48, 51, 52, 52, 52, 52, 52, 52, 45, 38),
    'paint_dark': (4.0, 4.2, 4.6, 4.8, 5, 5.2, 5.5, 5.7, 7, 6.5),
    'paint_blue': (16, 9, 5, 5, 6, 8, 10, 11, 14, 12),
    'paint_red': (4.5, 5, 22, 26, 28, 29, 30, 30, 28, 24),
    'paint_silver': (24, 25, 25.5, 26, 26, 26, 26, 26, 24, 22),
    'cloud': (52, 51, 52, 53, 54, 55, 56, 56, 42, 32),
}

MATERIALS: tuple[str, ...] = tuple(_PERCENT)
REFLECTANCE = np.array(list(_PERCENT.values()), np.float32) / 100


def material_index(name: str) -> int:
    """Row of a material in :data:`REFLECTANCE`."""
    return MATERIALS.index(name)


def reflectance(name: str) -> np.ndarray:
    """Reflectance (0 to 1) of a material in ten bands, float32 (10,)."""
    return REFLECTANCE[MATERIALS.index(name)]
