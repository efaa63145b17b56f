# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Fields, meadows, gardens, yards, pits and airfields inside the blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .canvas import Box, Canvas, fill
from .noise import fractal_noise, place_hash, smooth_noise

_SOILS = ('soil_loam', 'soil_chalk', 'soil_dark', 'soil_red', 'soil_loam')


@dataclass
class Parcel:
    """A parcel in the frame of its block; arrays have the shape of ``box``.

    Args:
        mask: The parcel's pixels.
        box: Where the arrays lie in the window.
        u: Metres along the block.
        v: Metres across the block.
        edge: Metres to the border along u, and across v.
        rng: The parcel's own generator.
    """

    mask: np.ndarray
    box: Box
    u: np.ndarray
    v: np.ndarray
    edge: tuple[np.ndarray, np.ndarray]
    rng: np.random.Generator


def paint_blocks(canvas: Canvas) -> None:
    """Paint the land use of all blocks of the window."""
    window, surface = canvas.window, canvas.surface
    owner = np.zeros(window.shape, np.int32)
    blocks = canvas.landscape.blocks_in(window.extent)
    for k, (i, j) in enumerate(blocks, 1):
        fill(owner, window.to_pixels(canvas.landscape.outline(i, j)), k)
    verge = surface.add('grassland', 'grass', seasonal='grass', kind='verge')
    canvas.put(np.ones(window.shape, bool), verge, 0.25, 0.12)
    for (i, j), box in zip(blocks, ndimage.find_objects(
            owner, len(blocks)), strict=True):
        if box is not None:
            k = blocks.index((i, j)) + 1
            _paint_block(canvas, i, j, owner[box] == k, box)


def _paint_block(canvas: Canvas, i: int, j: int, mask: np.ndarray,
                 box: Box) -> None:
    """Cut a block in rows of parcels and paint each."""
    use = canvas.landscape.land_use(i, j)
    rng, middle, angle = canvas.landscape.frame(i, j)
    x = canvas.window.x[box[1]][None, :] - middle[0]
    y = canvas.window.y[box[0]][:, None] - middle[1]
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    if use in ('airfield', 'quarry', 'forest'):
        far = np.full(u.shape, 99.0)
        parcel = Parcel(mask, box, u, v, (far, far),
                        canvas.landscape.rng(53, i, j))
        {'airfield': _airfield, 'quarry': _quarry, 'forest': _wood}[use](
            canvas, parcel)
        return
    depth, length = {
        'farmland': (rng.uniform(38, 105), rng.uniform(90, 260)),
        'meadow': (rng.uniform(60, 120), rng.uniform(80, 160)),
        'village': (rng.uniform(22, 32), rng.uniform(14, 24)),
        'industrial': (rng.uniform(50, 80), rng.uniform(60, 100)),
    }[use]
    hedged = rng.random() < 0.4
    row = np.floor(v / depth).astype(np.int64)
    offset = place_hash(canvas.seed + 51, row, i, j) * length
    stretch = length * (0.6 + 0.8 * place_hash(canvas.seed + 52, row, i, j))
    place = (u + offset) / stretch
    column = np.floor(place).astype(np.int64)
    edge_u = np.minimum(place - column, column + 1 - place) * stretch
    edge_v = np.minimum(v / depth - row, row + 1 - v / depth) * depth
    first_row, first_column = int(row.min()), int(column.min())
    columns = int(column.max()) - first_column + 1
    labels = np.where(mask, (row - first_row) * columns + column
                      - first_column + 1, 0).astype(np.int32)
    paint = {'farmland': _field, 'meadow': _meadow, 'village': _garden,
             'industrial': _yard}[use]
    for k, part in enumerate(ndimage.find_objects(labels), 1):
        if part is None:
            continue
        at = divmod(k - 1, columns)
        parcel = Parcel(
            labels[part] == k, _inner(box, part), u[part], v[part],
            (edge_u[part], edge_v[part]),
            canvas.landscape.rng(53, i, j, at[0] + first_row,
                                 at[1] + first_column))
        if use == 'farmland' and parcel.rng.random() < 0.12:
            _meadow(canvas, parcel)
        else:
            paint(canvas, parcel)
        if hedged and use in ('farmland', 'meadow'):
            border = parcel.mask & (np.minimum(*parcel.edge) < 1.6)
            canvas.trees[parcel.box][border] = 0.75


def _inner(box: Box, part: Box) -> Box:
    """Slices of a part of a box, relative to the window."""
    return tuple(  # type: ignore[return-value]
        slice(b.start + p.start, b.start + p.stop)
        for b, p in zip(box, part, strict=True))


def _field(canvas: Canvas, p: Parcel) -> None:
    rng = p.rng
    crop = 1 + (int(rng.integers(8)) + canvas.year * 3) % 8
    soils = rng.choice(_SOILS, 2)
    segment = canvas.surface.add(
        'cropland', soils[0], second=str(soils[1]), mix=rng.random(),
        tone=rng.uniform(0.8, 1.22), crop=crop, shift=rng.normal(0, 7),
        vigour=rng.uniform(0.7, 1.12), kind='farmland')
    spacing, strength = rng.uniform(1.8, 3.2), rng.uniform(0.01, 0.06)
    tramline = rng.uniform(18, 27)
    # Machines turn on the headland: the rows there run along the border.
    across = np.where(p.edge[0] < 9, p.u, p.v)
    rows = strength * np.sin(6.283 / spacing * across)
    track = np.abs((across + 400) % tramline - 9)
    tracks = rng.uniform(0, 0.16) * ((track < 0.5) | (
        np.abs(track - 1.8) < 0.4))
    inside = p.mask & (np.minimum(*p.edge) > 1.0)
    canvas.put(inside, segment, 0.14, rng.uniform(0.03, 0.14), p.box,
               1 + rows - tracks)


def _meadow(canvas: Canvas, p: Parcel) -> None:
    rng = p.rng
    segment = canvas.surface.add(
        'grassland', 'grass', tone=rng.uniform(0.8, 1.2), seasonal='grass',
        shift=rng.normal(0, 12), vigour=rng.uniform(0.05, 1.1),
        kind='meadow')
    mown = 0.06 * np.sign(np.sin(p.v / rng.uniform(1.2, 2.2)))
    mown = mown if rng.random() < 0.4 else np.zeros_like(mown)
    canvas.put(p.mask, segment, 0.3, 0.14, p.box, 1 + mown)
    canvas.trees[p.box][p.mask] = 0.04 * rng.random()


def _garden(canvas: Canvas, p: Parcel) -> None:
    rng = p.rng
    draw, tone = rng.random(), rng.uniform(0.8, 1.2)
    if draw < 0.07:
        segment = canvas.surface.add('bare ground', 'soil_loam', tone=tone,
                                     second='gravel', mix=rng.random(),
                                     kind='garden')
    elif draw < 0.15:
        segment = canvas.surface.add('road', 'gravel', tone=tone * 0.9,
                                     second='concrete', mix=rng.random(),
                                     kind='yard')
    else:
        segment = canvas.surface.add(
            'grassland', 'grass', tone=tone, seasonal='grass',
            shift=rng.normal(0, 15), vigour=rng.uniform(0.3, 1.1),
            kind='garden')
    canvas.put(p.mask, segment, 0.25, 0.12, p.box)
    density = rng.uniform(0.02, 0.25) * (draw > 0.15)
    canvas.trees[p.box][p.mask] = density
    if rng.random() < 0.4:
        border = p.mask & (np.minimum(*p.edge) < 0.8)
        canvas.trees[p.box][border] = 0.5


def _yard(canvas: Canvas, p: Parcel) -> None:
    rng = p.rng
    draw, tone = rng.random(), rng.uniform(0.75, 1.2)
    if draw < 0.2:
        segment = canvas.surface.add('bare ground', 'gravel', tone=tone,
                                     second='soil_loam', mix=rng.random(),
                                     kind='yard')
    elif draw < 0.38:
        segment = canvas.surface.add('grassland', 'grass', tone=tone,
                                     seasonal='grass', kind='yard',
                                     vigour=rng.uniform(0.3, 1))
        canvas.trees[p.box][p.mask] = 0.06
    else:
        name = ('asphalt_old', 'concrete', 'asphalt_new', 'gravel')[
            rng.integers(4)]
        segment = canvas.surface.add('road', name, tone=tone, kind='parking')
    canvas.put(p.mask, segment, 0.1, 0.07, p.box)


def _wood(canvas: Canvas, p: Parcel) -> None:
    canvas.trees[p.box][p.mask] = 1


def _quarry(canvas: Canvas, p: Parcel) -> None:
    """A terraced pit with heaps, in scrub."""
    rng, surface = p.rng, canvas.surface
    scrub = surface.add('grassland', 'grass', seasonal='grass', kind='scrub',
                        tone=rng.uniform(0.8, 1.2), vigour=0.4)
    canvas.put(p.mask, scrub, 0.3, 0.16, p.box)
    canvas.trees[p.box][p.mask] = 0.16
    rough = fractal_noise(canvas.window, 70, canvas.seed + 131, 3)[p.box]
    heap = smooth_noise(canvas.window, 15, canvas.seed + 135)[p.box]
    stretch = rng.uniform(0.8, 1.25)
    level = (88 - np.hypot(p.u * stretch, p.v / stretch) + 20 * rough)
    pit = p.mask & (level > 0)
    names = ('rock', 'sand', 'soil_loam', 'gravel')
    zone = np.clip((rough + 1.6 + 0.5 * heap) / 0.8, 0, 3).astype(int)
    for k, name in enumerate(names):
        segment = surface.add('bare ground', name, kind='quarry',
                              tone=rng.uniform(0.75, 1.05),
                              second='soil_red', mix=rng.uniform(0, 0.5))
        canvas.put(pit & (zone == k), segment, 0.3, 0.12, p.box)
    depth = -3.5 * np.ceil(np.clip(level, 0, 70) / 19)
    height = depth + 3.2 * np.clip(heap - 0.9, 0, 1.5)
    surface.height[p.box][pit] = height[pit]
    canvas.trees[p.box][pit] = 0


def _airfield(canvas: Canvas, p: Parcel) -> None:
    """A paved apron, a runway and the taxiway between them."""
    rng, surface, u, v = p.rng, canvas.surface, p.u, p.v
    grass = surface.add('grassland', 'grass', seasonal='grass', vigour=0.7,
                        tone=rng.uniform(0.85, 1.1), kind='airfield')
    canvas.put(p.mask, grass, 0.25, 0.12, p.box)
    apron = surface.add('road', 'concrete', kind='runway',
                        tone=rng.uniform(0.5, 0.85))
    tarmac = surface.add('road', 'asphalt_old', kind='runway',
                         tone=rng.uniform(0.75, 1.25))
    joint = ((u % 7.5) < 0.5) | ((v % 7.5) < 0.5)
    paved = p.mask & (np.abs(u) < 88) & (v > -76) & (v < -20)
    canvas.put(paved, apron, 0.1, 0.06, p.box, 1 - 0.12 * joint)
    strip = p.mask & (np.abs(v - 40) < 13)
    link = p.mask & (np.abs(u - 55) < 7) & (v > -20) & (v < 40)
    canvas.put(strip | link, tarmac, 0.12, 0.07, p.box)
    paint = surface.add('road', 'paint_white', tone=0.7, kind='runway')
    dash = (np.abs(v - 40) < 0.5) & (u % 24 < 14)
    side = np.abs(np.abs(v - 40) - 12) < 0.3
    canvas.put(strip & (dash | side), paint, 0.1, 0, p.box)
