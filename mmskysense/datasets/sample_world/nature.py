# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Woods, water, shores, hedges and the crowns of single trees."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .noise import fractal_noise, place_hash, smooth_noise

_PITCH = 5.0  # metres between the places where trees may stand


def paint_woods(canvas: Canvas) -> None:
    """Woodland by noise over fields and meadows, with later clearings."""
    surface, window = canvas.surface, canvas.window
    wild = fractal_noise(window, 130, canvas.seed + 141, 3)
    kinds = surface.column('kind')
    open_land = np.isin(kinds, ('farmland', 'meadow', 'verge',
                                'scrub'))[surface.segment]
    wood = (canvas.trees >= 1) & (wild > -1.5)
    glade = (canvas.trees >= 1) & ~wood
    canvas.trees[glade] = 0.05
    wood |= (wild > 1.3) & open_land
    cleared = wood & (fractal_noise(window, 90, canvas.seed + 151, 2) > 1.35)
    floor = surface.add('forest', 'deciduous', seasonal='deciduous',
                        tone=0.6, kind='forest')
    canvas.put(wood, floor, 0.3, 0.1)
    canvas.trees[wood] = 1
    if canvas.after:
        stumps = surface.add('bare ground', 'soil_loam', second='straw',
                             mix=0.4, kind='clearing')
        canvas.put(cleared, stumps, 0.5, 0.2)
        canvas.trees[cleared] = 0


def paint_water(canvas: Canvas) -> None:
    """River and lakes, their shore and the trees along it."""
    surface, window = canvas.surface, canvas.window
    distance = canvas.landscape.water_distance(window)
    beach = smooth_noise(window, 60, canvas.seed + 165)
    shore = (distance < 1.2 + 1.6 * beach) & (distance >= 0)
    mud = surface.add('bare ground', 'sand', second='soil_dark', mix=0.6,
                      kind='shore')
    canvas.put(shore, mud, 0.2, 0.12)
    gallery = (distance > 3) & (distance < 11) & (beach < 0.2)
    canvas.trees[gallery] = np.maximum(canvas.trees[gallery], 0.5)
    canvas.trees[distance < 3] = 0
    wet = distance < 0
    if not wet.any():
        return
    # Water changes slowly along a river: many mixtures, dithered.
    murk = smooth_noise(window, 330, canvas.seed + 161) + 0.25 * (
        canvas.slow) + 0.12 * canvas.grain
    step = np.clip((murk + 2) * 3, 0, 11).astype(int)
    ripple = smooth_noise(window, 3.2, canvas.seed + 163)
    depth = np.clip(-distance / 10, 0, 1)
    texture = 1.3 - 0.35 * depth + 0.05 * ripple
    for k in np.unique(step[wet]):
        first, second, mix = (
            ('water_clear', 'water_green', k / 4) if k < 4 else
            ('water_green', 'water_turbid', (k - 4) / 7))
        segment = surface.add('water', first, second=second, mix=mix,
                              kind='water')
        canvas.put(wet & (step == k), segment, 0.1, 0.03, None, texture)
    surface.height[wet] = 0


def paint_trees(canvas: Canvas) -> None:
    """Crowns as domes on a jittered lattice, kept by local density."""
    surface, window = canvas.surface, canvas.window
    x0, y0, x1, y1 = window.extent
    i = np.arange(int(x0 // _PITCH) - 1, int(x1 // _PITCH) + 2)
    j = np.arange(int(y0 // _PITCH) - 1, int(y1 // _PITCH) + 2)
    i, j = (a.ravel() for a in np.meshgrid(i, j))
    h = np.stack([place_hash(canvas.seed + 71 + k, i, j) for k in range(7)])
    at = window.to_pixels(np.stack([(i + 0.08 + 0.84 * h[0]) * _PITCH,
                                    (j + 0.08 + 0.84 * h[1]) * _PITCH], -1))
    column, row = np.floor(at).astype(int).T
    keep = (column >= 0) & (row >= 0) & (column < window.width) & (
        row < window.height)
    at, h, column, row = at[keep], h[:, keep], column[keep], row[keep]
    keep = h[2] < canvas.trees[row, column]
    at, h, column, row = at[keep], h[:, keep], column[keep], row[keep]
    stand = smooth_noise(window, 180, canvas.seed + 171)[row, column]
    forest = (surface.column('kind') == 'forest')[surface.segment][row,
                                                                  column]
    conifer = stand + 1.2 * (h[3] - 0.5) > 0.8
    radius = np.where(conifer, 1.7 + 1.3 * h[4], 2.0 + 3.0 * h[4]**1.5)
    tall = np.where(conifer, 10, 7) + 8 * h[5]
    radius = np.where(forest, radius, 0.6 + radius * 0.72 * (0.6 + h[6]))
    tall = np.where(forest, tall, 2 + tall * 0.5 * (0.5 + h[6]))
    species: dict[tuple[bool, bool, int], int] = {}
    for k in range(len(at)):
        key = (bool(conifer[k]), bool(forest[k]), int(h[3][k] * 6))
        if key not in species:
            species[key] = _species(canvas, *key)
        _crown(canvas, at[k], float(radius[k]), float(tall[k]), species[key],
               key[0])


def _species(canvas: Canvas, conifer: bool, forest: bool, kind: int) -> int:
    tone = 0.82 + 0.075 * kind
    name = 'forest' if forest else 'tree'
    if conifer:
        return canvas.surface.add('forest', 'conifer', tone=tone + 0.15,
                                  second='grass_dry', mix=0.02 * kind,
                                  kind=name)
    return canvas.surface.add(
        'forest', 'deciduous', seasonal='deciduous', kind=name,
        tone=(0.85, 1.3, 0.95, 1.1, 1.0, 1.45)[kind], shift=4.0 * kind - 10)


def _crown(canvas: Canvas, at: np.ndarray, radius: float, tall: float,
           segment: int, conifer: bool) -> None:
    """Raise one dome (or cone) out of what stands there."""
    surface, window = canvas.surface, canvas.window
    reach = radius / window.resolution
    c0, r0 = max(int(at[0] - reach), 0), max(int(at[1] - reach), 0)
    c1 = min(int(at[0] + reach) + 2, window.width)
    r1 = min(int(at[1] + reach) + 2, window.height)
    box = (slice(r0, r1), slice(c0, c1))
    dx = (np.arange(c0, c1) + 0.5 - at[0])[None, :] * window.resolution
    dy = (np.arange(r0, r1) + 0.5 - at[1])[:, None] * window.resolution
    grain = canvas.grain[box]
    # Grain makes the crown's outline and its leaves uneven.
    d2 = (dx**2 + dy**2) / radius**2 * (1 + 0.5 * grain)
    if conifer:
        dome = tall * (1 - 0.5 * np.sqrt(np.clip(d2, 0, 1)))
    else:
        dome = tall - radius * (1 - np.sqrt(np.clip(1 - d2, 0, 1)))
    height = surface.height[box]
    inside = (d2 < 1) & (dome > height)
    height[inside] = dome[inside]
    surface.segment[box][inside] = segment
    surface.texture[box][inside] = (1 + 0.5 * grain)[inside]
