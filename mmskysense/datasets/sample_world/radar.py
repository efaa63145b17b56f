# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The Sentinel-1-like series: VV and VH backscatter in dB with speckle.

Levels are ours after published ones: crops after Veloso et al. 2017
(doi:10.1016/j.rse.2017.07.015), surfaces after Ulaby and Dobson 1989. The
number of looks is that of Sentinel-1 IW GRD high resolution products (ESA
product specification: equivalent number of looks 4.4).
"""

from __future__ import annotations

import numpy as np

from .catalogue import LAND_COVER
from .noise import place_rng
from .optical import swath_mask
from .phenology import CROPS, cover_fractions
from .surface import Surface, season_of_leaves
from .window import Window

LOOKS = 4.4
# VV, VH in dB by land cover id (cropland: bare soil).
_LEVEL = np.array([(-11.0, -20.0), (-11.8, -18.6), (-8.4, -13.6),
                   (-18.5, -26.5), (-14.5, -22.5), (-3.5, -12.0),
                   (-12.5, -21.5)])


def _power(decibel: np.ndarray) -> np.ndarray:
    return 10**(decibel / 10)


def backscatter(surface: Surface, day: int, moisture: float,
                wind: float) -> np.ndarray:
    """Mean backscatter of every segment in linear power, (n, 2) VV, VH.

    Args:
        surface: Supplies the segments.
        day: Day of the year.
        moisture: Wetness of the soil, about N(0, 1); 1 is 1.3 dB.
        wind: Roughness of water, about N(0, 1); 1 is 1.8 dB in VV.
    """
    cover = surface.column('cover')
    level = _LEVEL[cover].copy()
    soil = np.isin(cover, [LAND_COVER.index(n)
                           for n in ('cropland', 'bare ground')])
    grass = cover == LAND_COVER.index('grassland')
    level[soil] += 1.3 * moisture
    level[grass] += 0.6 * moisture
    level[cover == LAND_COVER.index('water')] += np.array([1.8, 0.6]) * wind
    leaves = season_of_leaves(np.float64(day))
    level[cover == LAND_COVER.index('forest')] += np.array(
        [0.0, 0.9]) * (leaves - 1)
    kind = surface.column('kind')
    level[kind == 'boat'] = (-3.0, -11.0)
    level[kind == 'aircraft'] = (-4.0, -12.0)
    level[kind == 'car'] = (-7.0, -15.0)
    level[kind == 'industrial'] += (2.0, 1.0)
    power = _power(level)
    crop = surface.column('crop')
    rows = np.flatnonzero(crop)
    if len(rows):
        shares = cover_fractions(crop[rows], day,
                                 surface.column('shift')[rows],
                                 surface.column('vigour')[rows])
        green = (shares[:, 0] + shares[:, 1])[:, None]
        dead = shares[:, 2:3]
        volume = np.array([CROPS[c - 1].volume for c in crop[rows]])
        # Stems of cereals attenuate VV more than broad leaves do.
        canopy = _power(np.stack([volume + 5.2, volume], -1))
        attenuate = np.exp(-2.2 * green - 0.5 * dead)
        power[rows] = power[rows] * attenuate + canopy * (
            green + 0.25 * dead)
    return power


def render_s1(surface: Surface, share: np.ndarray, window: Window, day: int,
              seed: int, date: int, tile: int) -> np.ndarray:
    """One date of the Sentinel-1-like series.

    Args:
        surface: Layers whose segments are mixed.
        share: From :func:`~.optical.fractions`, (n, h, w).
        window: The coarse window.
        day: Day of the year.
        seed: Seed of the world.
        date: Number of the acquisition; sets moisture and wind.
        tile: Number of the tile; only the speckle depends on it.

    Returns:
        float32 (2, h, w) dB, NaN where unseen.
    """
    rng = place_rng(seed, 950, date)
    power = np.einsum('nhw,nb->bhw', share, backscatter(
        surface, day, rng.normal(), rng.normal()), optimize=True)
    speckle = place_rng(seed, 951, date, tile).gamma(
        LOOKS, 1 / LOOKS, power.shape)
    noise_floor = _power(np.array(-31.0))  # noise-equivalent sigma zero
    decibel = 10 * np.log10((power + noise_floor) * speckle)
    decibel[:, swath_mask(window, seed, date + 500, 0.15)] = np.nan
    return decibel.astype(np.float32)
