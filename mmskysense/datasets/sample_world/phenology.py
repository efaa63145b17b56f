# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The year of a field: green cover, ripe straw and bare soil by crop.

Green cover follows the double logistic of Beck et al. (2006). The turning
points are ours, set after typical northern French crop calendars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .spectra import reflectance


@dataclass(frozen=True)
class Crop:
    """Calendar of a crop; all dates are days of the year.

    Args:
        rise: Day at which the canopy is half closed.
        fall: Day at which it is half ripe (or cut).
        harvest: Day from which stubble is left.
        plough: Day from which the soil is bare.
        green: Largest fraction of green cover.
        winter: Fraction of green cover before the spring growth.
        ripens: Whether the canopy turns to straw before the harvest.
        flower: First and last day of a yellow bloom, or ``None``.
        canopy: Material of the green canopy.
        row: Distance of the visible rows in metres.
        volume: VH backscatter of the closed canopy in dB (literature level,
            for example Veloso et al. 2017; ours where they differ).
    """

    rise: float
    fall: float
    harvest: float
    plough: float
    green: float = 0.95
    winter: float = 0.0
    ripens: bool = False
    flower: tuple[float, float] | None = None
    canopy: str = 'canopy'
    row: float = 2.0
    volume: float = -16.5


# The order is that of catalogue.CROP_TYPE from id 1 on.
CROPS: tuple[Crop, ...] = (
    Crop(85, 172, 200, 232, winter=0.28, ripens=True, volume=-18.5),
    Crop(115, 182, 208, 245, green=0.9, ripens=True, volume=-17.0),
    Crop(78, 170, 192, 222, winter=0.42, ripens=True, flower=(103, 133),
         canopy='canopy_dark', volume=-13.5),
    Crop(165, 258, 275, 292, ripens=True, canopy='canopy_dark', row=3.0,
         volume=-13.8),
    Crop(152, 312, 306, 312, green=0.97, row=2.2, volume=-14.5),
    Crop(155, 238, 262, 285, green=0.9, ripens=True, flower=(192, 214),
         canopy='canopy_dark', row=3.0, volume=-13.5),
    Crop(150, 236, 262, 264, green=0.88, canopy='canopy_dark', row=2.6,
         volume=-15.0),
    Crop(72, 330, 400, 400, green=0.92, winter=0.35, volume=-16.8),
)


def _step(day: float, centre: np.ndarray, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(day - centre) / width))


def cover_fractions(crop: np.ndarray, day: float, shift: np.ndarray,
                    vigour: np.ndarray) -> np.ndarray:
    """Fractions of the ground that are green, flower, straw and soil.

    Args:
        crop: Crop ids (1 to 8) of n fields.
        day: Day of the year, 1 to 366.
        shift: Days by which each field is late, (n,).
        vigour: Relative density of each canopy, about 1, (n,).

    Returns:
        float64 (n, 4), non-negative, each row sums to 1.
    """
    calendar = [CROPS[c - 1] for c in crop]

    def get(name: str) -> np.ndarray:
        return np.array([getattr(c, name) for c in calendar], float)

    late = day - np.asarray(shift, float)
    rise = _step(1, get('rise') - late, 9.0)
    fall = _step(1, get('fall') - late, 6.0)
    winter = get('winter')
    growth = winter + (get('green') - winter) * rise
    # An autumn sown crop is up again at the end of the year.
    autumn = winter * 0.8 * _step(1, 318 - late, 8.0)
    green = np.clip((growth * (1 - fall) + autumn) * vigour, 0, 0.98)
    # Alfalfa is mown about every six weeks.
    mown = np.array([c is CROPS[7] for c in calendar])
    since = np.mod(late - 120, 42)
    mowing = np.where(mown & (late > 120) & (late < 300),
                      0.45 + 0.55 * np.clip(since / 16, 0, 1), 1.0)
    green *= mowing
    ripens = get('ripens')
    dead = np.where(
        late < get('plough'),
        np.where(late < get('harvest'), ripens * fall * 0.9, 0.72), 0.06)
    dead = np.where((late < get('rise') - 25) & (dead < 0.5), 0.05, dead)
    straw = np.clip(np.minimum(dead, 1 - green), 0, 1)
    bloom = np.zeros(len(calendar))
    for i, c in enumerate(calendar):
        if c.flower is not None:
            first, last = c.flower
            now = late if np.ndim(late) == 0 else late[i]
            bloom[i] = (_step(now, np.float64(first), 2.5)
                        - _step(now, np.float64(last), 2.5))
    flower = green * 0.75 * np.clip(bloom, 0, 1)
    green = green - flower
    soil = np.clip(1 - green - flower - straw, 0, 1)
    return np.stack([green, flower, straw, soil], -1)


def field_reflectance(crop: np.ndarray, day: float, shift: np.ndarray,
                      vigour: np.ndarray, soil: np.ndarray) -> np.ndarray:
    """Reflectance of fields on a day.

    Args:
        crop: Crop ids (1 to 8) of n fields.
        day: Day of the year, 1 to 366.
        shift: Days by which each field is late, (n,).
        vigour: Relative density of each canopy, about 1, (n,).
        soil: Reflectance of each field's soil, (n, 10).

    Returns:
        (n, 10), 0 to 1.
    """
    f = cover_fractions(crop, day, shift, vigour)
    canopy = np.stack([reflectance(CROPS[c - 1].canopy) for c in crop])
    return (f[:, :1] * canopy + f[:, 1:2] * reflectance('flower_yellow')
            + f[:, 2:3] * reflectance('straw') + f[:, 3:] * soil)
