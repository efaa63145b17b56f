# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Draws the plan of the landscape into the layers of a window."""

from __future__ import annotations

import cv2
import numpy as np

from .buildings import Building, block_buildings
from .catalogue import LAND_COVER
from .landscape import Landscape, Road
from .noise import (fractal_noise, pixel_noise, place_hash, place_rng,
                    smooth_noise)
from .surface import Surface
from .window import Window

MARGIN = 40.0  # metres drawn around a tile: shadows and blur come from there
_SUBPIXEL = 4  # bits of sub-pixel precision of OpenCV's drawing

_SOILS = ('soil_loam', 'soil_chalk', 'soil_dark', 'soil_red', 'soil_loam')


def fill(mask: np.ndarray, polygon: np.ndarray, value: float) -> None:
    """Fill a polygon given in pixel coordinates (edge-based) in place."""
    points = np.round((polygon - 0.5) * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(mask, [points], value, shift=_SUBPIXEL)


def stroke(mask: np.ndarray, line: np.ndarray, width: float,
           value: float) -> None:
    """Fill a band around a polyline (pixel units) in place."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(*tangent.T)[:, None], 1e-6)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1) * width / 2
    left, right = line + normal, line - normal
    for k in range(len(line) - 1):
        fill(mask, np.stack([left[k], left[k + 1], right[k + 1], right[k]]),
             value)


def smooth_line(points: np.ndarray) -> np.ndarray:
    """A denser polyline through the same points."""
    t = np.arange(len(points))
    fine = np.linspace(0, len(points) - 1, 2 * len(points) - 1)
    return np.stack([np.interp(fine, t, points[:, k]) for k in (0, 1)], -1)


def draw_surface(landscape: Landscape, window: Window, year: int = 0,
                 after: bool = False) -> Surface:
    """Draw the ground of a window.

    Args:
        landscape: The plan.
        window: Where; add :data:`MARGIN` before and cut afterwards.
        year: Crop rotation year: every year a field bears another crop.
        after: Draw the later state with new buildings, roads, clearings.

    Returns:
        The layers of the window.
    """
    surface = Surface(window, np.zeros(window.shape, np.int32),
                      np.zeros(window.shape, np.float32),
                      np.ones(window.shape, np.float32))
    draw = _Painter(landscape, surface, year, after)
    draw.blocks()
    draw.woods()
    draw.water()
    draw.roads()
    draw.buildings()
    draw.trees()
    draw.objects()
    return surface


class _Painter:
    """Draws one layer after the other; later ones cover earlier ones."""

    def __init__(self, landscape: Landscape, surface: Surface, year: int,
                 after: bool) -> None:
        self.landscape = landscape
        self.surface = surface
        self.window = surface.window
        self.seed = landscape.seed
        self.year = year
        self.after = after
        self.soil_noise = fractal_noise(self.window, 46, self.seed + 101, 3,
                                        0.6)
        self.grain = pixel_noise(self.window, self.seed + 111)
        self.tree_density = np.zeros(self.window.shape, np.float32)

    def seen(self, thing: Road | Building) -> bool:
        """Whether a thing exists at this date."""
        return self.after or not thing.new

    # -- land use of the blocks -------------------------------------------

    def blocks(self) -> None:
        """Fields, meadows, gardens, yards and pits by block."""
        w = self.window
        owner = np.full(w.shape, -1, np.int32)
        blocks = self.landscape.blocks_in(w.extent)
        for k, (i, j) in enumerate(blocks):
            fill(owner, w.to_pixels(self.landscape.outline(i, j)), k)
        base = self.surface.add('grassland', 'grass', seasonal='grass',
                                kind='verge')
        self.surface.segment[:] = base
        for k, (i, j) in enumerate(blocks):
            mask = owner == k
            if not mask.any():
                continue
            rows = np.flatnonzero(mask.any(1))
            columns = np.flatnonzero(mask.any(0))
            box = (slice(rows[0], rows[-1] + 1),
                   slice(columns[0], columns[-1] + 1))
            self._parcels(i, j, mask[box], box)

    def _parcels(self, i: int, j: int, mask: np.ndarray,
                 box: tuple[slice, slice]) -> None:
        """Cut a block in rows of parcels in its own rotated frame."""
        use = self.landscape.land_use(i, j)
        rng = self.landscape.rng(50, i, j)
        outline = self.landscape.outline(i, j)
        middle = outline.mean(0)
        chord = outline[16] - outline[0]
        angle = np.arctan2(chord[1], chord[0]) + rng.uniform(-0.12, 0.12) + (
            np.pi / 2 if rng.random() < 0.5 else 0)
        x = self.window.x[box[1]][None, :] - middle[0]
        y = self.window.y[box[0]][:, None] - middle[1]
        u = x * np.cos(angle) + y * np.sin(angle)
        v = y * np.cos(angle) - x * np.sin(angle)
        depth, length = {
            'farmland': (rng.uniform(45, 110), rng.uniform(90, 260)),
            'meadow': (rng.uniform(60, 120), rng.uniform(80, 160)),
            'village': (rng.uniform(22, 32), rng.uniform(16, 26)),
            'industrial': (rng.uniform(50, 80), rng.uniform(60, 100)),
        }.get(use, (400.0, 400.0))
        row = np.floor(v / depth).astype(np.int64)
        offset = place_hash(self.seed + 51, row, i, j) * length
        stretch = length * (0.6 + 0.8 * place_hash(self.seed + 52, row, i, j))
        place = (u + offset) / stretch
        column = np.floor(place).astype(np.int64)
        key = (row + 64) * 128 + column + 64
        edge_u = np.minimum(place - column, column + 1 - place) * stretch
        edge_v = np.minimum(v / depth - row, row + 1 - v / depth) * depth
        border = np.minimum(edge_u, edge_v)
        segment = self.surface.segment[box]
        texture = self.surface.texture[box]
        density = self.tree_density[box]
        soil_noise, grain = self.soil_noise[box], self.grain[box]
        for value in np.unique(key[mask]):
            inside = mask & (key == value)
            r, c = int(value) // 128 - 64, int(value) % 128 - 64
            parcel = self.landscape.rng(53, i, j, r, c)
            if use == 'farmland':
                kind = 'crop' if parcel.random() < 0.86 else 'meadow'
                inside &= border > 1.2
            elif use == 'village':
                kind = 'garden'
            else:
                kind = use
            self._parcel(kind, inside, segment, texture, density, u, v,
                         soil_noise, grain, parcel, (x, y))

    def _parcel(self, kind: str, inside: np.ndarray, segment: np.ndarray,
                texture: np.ndarray, density: np.ndarray, u: np.ndarray,
                v: np.ndarray, soil: np.ndarray, grain: np.ndarray,
                rng: np.random.Generator,
                xy: tuple[np.ndarray, np.ndarray]) -> None:
        """Give one parcel its material and texture."""
        add = self.surface.add
        tone = rng.uniform(0.8, 1.22)
        if kind == 'crop':
            first = int(rng.integers(8))
            crop = 1 + (first + self.year * 3) % 8
            mix = rng.random()
            materials = rng.choice(_SOILS, 2)
            vigour = rng.uniform(0.75, 1.12)
            one = add('cropland', materials[0], second=materials[1], mix=mix,
                      tone=tone, crop=crop, shift=rng.normal(0, 7),
                      vigour=vigour, kind='farmland')
            segment[inside] = one
            spacing = rng.uniform(2.0, 3.2)
            phase = 6.283 * v / spacing
            lines = 0.05 * rng.uniform(0.4, 1.5) * np.sin(phase)
            tram = np.abs((v + 400) % rng.uniform(18, 27) - 9)
            lines = lines - 0.1 * rng.uniform(0, 1.2) * (tram < 0.6)
            texture[inside] = (1 + 0.09 * soil + lines
                               + 0.10 * grain)[inside]
            return
        if kind in ('meadow', 'garden', 'airfield', 'forest', 'quarry',
                    'industrial'):
            pass
        if kind == 'meadow':
            one = add('grassland', 'grass', tone=tone, seasonal='grass',
                      shift=rng.normal(0, 12), vigour=rng.uniform(0.3, 1.1),
                      kind='meadow')
            segment[inside] = one
            texture[inside] = (1 + 0.13 * soil + 0.22 * grain)[inside]
            density[inside] = 0.03
        elif kind == 'garden':
            if rng.random() < 0.12:
                one = add('bare ground', 'gravel', tone=tone, kind='garden')
            else:
                one = add('grassland', 'grass', tone=tone, seasonal='grass',
                          shift=rng.normal(0, 15),
                          vigour=rng.uniform(0.4, 1.1), kind='garden')
            segment[inside] = one
            texture[inside] = (1 + 0.1 * soil + 0.2 * grain)[inside]
            density[inside] = rng.uniform(0.02, 0.2)
        elif kind == 'airfield':
            grass = add('grassland', 'grass', seasonal='grass', tone=tone,
                        vigour=0.7, kind='airfield')
            segment[inside] = grass
            texture[inside] = (1 + 0.1 * soil + 0.15 * grain)[inside]
            apron = add('road', 'concrete', tone=rng.uniform(0.6, 0.95),
                        kind='runway')
            runway = add('road', 'asphalt_old', kind='runway',
                         tone=rng.uniform(0.8, 1.3))
            paved = inside & (np.abs(u) < 88) & (v > -76) & (v < -20)
            segment[paved] = apron
            joint = ((u % 7.5) < 0.5) | ((v % 7.5) < 0.5)
            texture[paved] = (1 + 0.05 * soil - 0.12 * joint
                              + 0.05 * grain)[paved]
            strip = inside & (np.abs(v - 40) < 13)
            link = inside & (np.abs(u - 55) < 7) & (v > -20) & (v < 40)
            segment[strip | link] = runway
            texture[strip | link] = (1 + 0.06 * soil + 0.06 * grain)[
                strip | link]
            mark = add('road', 'paint_white', tone=0.8, kind='runway')
            dash = (strip & (np.abs(v - 40) < 0.5) & (u % 24 < 14)) | (
                strip & (np.abs(np.abs(v - 40) - 12) < 0.3))
            segment[dash] = mark
        elif kind == 'quarry':
            ground = fractal_noise_crop(self, 60, 131, segment, xy)
            pit = inside & (np.hypot(u, v * 1.15) < 84 + 16 * ground)
            meadow = add('grassland', 'grass', seasonal='grass', tone=tone,
                         vigour=0.4, kind='scrub')
            segment[inside] = meadow
            density[inside] = 0.12
            texture[inside] = (1 + 0.15 * soil + 0.2 * grain)[inside]
            for k, name in enumerate(('rock', 'sand', 'soil_loam')):
                zone = pit & (ground > (-9, -0.3, 0.7)[k])
                segment[zone] = add(
                    'bare ground', name, tone=rng.uniform(0.8, 1.1),
                    second='soil_chalk', mix=0.3, kind='quarry')
            step = np.mod(np.hypot(u, v * 1.15) + 10 * ground, 17)
            texture[pit] = (1 + 0.1 * soil - 0.25 * (step < 2)
                            + 0.1 * (step > 14) + 0.12 * grain)[pit]
            density[pit] = 0
        elif kind == 'industrial':
            name = ('asphalt_old', 'concrete', 'asphalt_new', 'gravel')[
                rng.integers(4)]
            if rng.random() < 0.25:
                one = add('bare ground', 'gravel', second='soil_loam',
                          mix=rng.random() * 0.6, tone=tone, kind='yard')
            elif rng.random() < 0.3:
                one = add('grassland', 'grass', seasonal='grass', tone=tone,
                          vigour=rng.uniform(0.3, 1), kind='yard')
                density[inside] = 0.05
            else:
                one = add('road', name, tone=tone * 0.9, kind='parking')
            segment[inside] = one
            texture[inside] = (1 + 0.07 * soil + 0.1 * grain)[inside]
        elif kind == 'forest':
            density[inside] = 1

    # -- woods -------------------------------------------------------------

    def woods(self) -> None:
        """Woodland by noise over fields and meadows, and its clearings."""
        s, w = self.surface, self.window
        wild = fractal_noise(w, 130, self.seed + 141, 3)
        kinds = s.column('kind')[s.segment]
        wood = (self.tree_density >= 1) & (wild > -1.5)
        wood |= (wild > 1.25) & np.isin(kinds, ('farmland', 'meadow', 'verge',
                                                'scrub'))
        clearing = fractal_noise(w, 90, self.seed + 151, 2)
        removed = wood & (clearing > 1.35)
        if self.after:
            bare = s.add('bare ground', 'soil_loam', second='straw', mix=0.4,
                         kind='clearing')
            s.segment[removed] = bare
            s.texture[removed] = (1 + 0.2 * self.soil_noise
                                  + 0.3 * self.grain)[removed]
            self.tree_density[removed] = 0
            wood &= ~removed
        floor = s.add('forest', 'deciduous', seasonal='deciduous', tone=0.55,
                      kind='forest')
        s.segment[wood] = floor
        self.tree_density[wood] = 1

    def water(self) -> None:
        """River and lakes with a sandy or muddy shore."""
        s, w = self.surface, self.window
        distance = self.landscape.water_distance(w)
        shore = (distance < 2.5 + 1.5 * self.soil_noise) & (distance >= 0)
        s.segment[shore] = s.add('bare ground', 'sand', second='soil_dark',
                                 mix=0.55, kind='shore')
        s.texture[shore] = 1 + 0.1 * self.soil_noise[shore]
        self.tree_density[distance < 6] = 0
        wet = distance < 0
        murky = smooth_noise(w, 160, self.seed + 161)
        names = ('water_clear', 'water_green', 'water_turbid')
        for k, name in enumerate(names):
            zone = wet & (murky > (-9, -0.5, 0.6)[k])
            s.segment[zone] = s.add('water', name, kind='water')
        depth = np.clip(-distance / 9, 0, 1)
        s.texture[wet] = (1.35 - 0.4 * depth + 0.05 * self.soil_noise
                          + 0.10 * self.grain)[wet]
        self.wet = wet

    # -- built -------------------------------------------------------------

    def roads(self) -> None:
        """Roads with verges, worn lanes and markings."""
        s, w = self.surface, self.window
        for road in self.landscape.roads_in(w.extent):
            if not self.seen(road):
                continue
            line = smooth_line(w.to_pixels(road.points))
            if not _touches(line, w, 20):
                continue
            mask = np.zeros(w.shape, np.uint8)
            stroke(mask, line, road.width / w.resolution, 1)
            stroke(mask, line, 0, 1)
            paved = mask > 0
            tone = 0.8 + 0.45 * float(place_hash(
                self.seed + 61, *(int(v) for v in road.points[0])))
            s.segment[paved] = s.add(
                'road', road.material, tone=tone, kind=road.kind,
                second='soil_loam', mix=0.35 if road.kind == 'track' else 0.)
            s.texture[paved] = (1 + 0.05 * self.soil_noise
                                + 0.10 * self.grain)[paved]
            self.tree_density[cv2.dilate(mask, np.ones((9, 9))) > 0] = 0
            if road.kind == 'road':
                paint = np.zeros(w.shape, np.uint8)
                dense = _resample(line, 4.0)
                for k in range(0, len(dense) - 2, 4):
                    stroke(paint, dense[k:k + 3], 0.6, 1)
                s.texture[(paint > 0) & paved] = 2.2

    def buildings(self) -> None:
        """Roofs: their material, height and slope."""
        s, w = self.surface, self.window
        for i, j in self.landscape.blocks_in(w.extent, 10):
            for building in block_buildings(self.landscape, i, j):
                if self.seen(building):
                    self._building(building)

    def _building(self, b: Building) -> None:
        s, w = self.surface, self.window
        centre = w.to_pixels(np.array(b.centre)[None])[0]
        reach = b.reach / w.resolution + 2
        c0, r0 = np.maximum(np.floor(centre - reach), 0).astype(int)
        c1, r1 = np.minimum(np.ceil(centre + reach), (w.width, w.height)
                            ).astype(int)
        if c0 >= c1 or r0 >= r1:
            return
        box = (slice(r0, r1), slice(c0, c1))
        dx = (np.arange(c0, c1) + 0.5 - centre[0])[None, :] * w.resolution
        dy = (np.arange(r0, r1) + 0.5 - centre[1])[:, None] * w.resolution
        u = dx * np.cos(b.angle) + dy * np.sin(b.angle)
        v = dy * np.cos(b.angle) - dx * np.sin(b.angle)
        inside = (np.abs(u) < b.length / 2) & (np.abs(v) < b.width / 2)
        roof = b.height + b.pitch * (b.width / 2 - np.abs(v))
        inside &= roof > s.height[box]
        s.segment[box][inside] = s.add('building', b.material, tone=b.tone,
                                       kind=b.use)
        s.height[box][inside] = roof[inside]
        grain = self.grain[box]
        rib = 0.03 * np.sin(6.283 * u / 1.3)
        s.texture[box][inside] = (1 + 0.10 * grain + rib)[inside]
        x0, x1 = max(c0 - 4, 0), c1 + 4
        y0, y1 = max(r0 - 4, 0), r1 + 4
        self.tree_density[y0:y1, x0:x1] = np.minimum(
            self.tree_density[y0:y1, x0:x1], 0.02)

    # -- trees ---------------------------------------------------------------

    def trees(self) -> None:
        """Crowns as domes on a jittered lattice, kept by local density."""
        s, w = self.surface, self.window
        pitch = 5.2
        x0, y0, x1, y1 = w.extent
        i = np.arange(int(x0 // pitch) - 1, int(x1 // pitch) + 2)
        j = np.arange(int(y0 // pitch) - 1, int(y1 // pitch) + 2)
        i, j = (a.ravel() for a in np.meshgrid(i, j))
        h = [place_hash(self.seed + 71 + k, i, j) for k in range(6)]
        x = (i + 0.1 + 0.8 * h[0]) * pitch
        y = (j + 0.1 + 0.8 * h[1]) * pitch
        at = w.to_pixels(np.stack([x, y], -1))
        column, row = np.floor(at).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < w.width) & (
            row < w.height)
        density = np.zeros(len(x))
        density[inside] = self.tree_density[row[inside], column[inside]]
        keep = (h[2] < density) & inside
        stand = smooth_noise(w, 210, self.seed + 171)
        wild = s.column('kind')[s.segment] == 'forest'
        species = [
            s.add('forest', 'deciduous', seasonal='deciduous', tone=t,
                  shift=d, kind='forest')
            for t, d in ((0.85, -8.), (1.0, 0.), (1.15, 7.), (0.95, 12.))]
        species += [s.add('forest', 'conifer', tone=t, kind='forest')
                    for t in (0.9, 1.1)]
        for k in np.flatnonzero(keep):
            r, c = row[k], column[k]
            conifer = stand[r, c] + 1.2 * (h[3][k] - 0.5) > 0.9
            single = not wild[r, c]
            radius = (1.9 + 1.2 * h[4][k] if conifer else 2.3 + 2.3 * h[4][k])
            tall = (9 if conifer else 7) + 7 * h[5][k]
            if single:
                radius, tall = 0.7 + radius * 0.75, tall * 0.65
            kind = species[4 + int(h[3][k] * 2)] if conifer else species[
                int(h[3][k] * 4)]
            self._crown(at[k], radius, tall, kind, conifer)

    def _crown(self, at: np.ndarray, radius: float, tall: float, kind: int,
               conifer: bool) -> None:
        s, w = self.surface, self.window
        reach = radius / w.resolution
        c0, r0 = max(int(at[0] - reach), 0), max(int(at[1] - reach), 0)
        c1 = min(int(at[0] + reach) + 2, w.width)
        r1 = min(int(at[1] + reach) + 2, w.height)
        box = (slice(r0, r1), slice(c0, c1))
        dx = (np.arange(c0, c1) + 0.5 - at[0])[None, :] * w.resolution
        dy = (np.arange(r0, r1) + 0.5 - at[1])[:, None] * w.resolution
        d2 = (dx**2 + dy**2) / radius**2
        if conifer:
            dome = tall * (1 - 0.55 * np.sqrt(d2))
        else:
            dome = tall - radius * 1.1 * (1 - np.sqrt(np.clip(1 - d2, 0, 1)))
        inside = (d2 < 1) & (dome > s.height[box])
        s.height[box][inside] = dome[inside]
        s.segment[box][inside] = kind
        s.texture[box][inside] = (1 + 0.35 * self.grain[box])[inside]

    def objects(self) -> None:
        """Boats, aircraft and cars."""
        from .objects import draw_objects
        draw_objects(self.landscape, self.surface, self.after)


def fractal_noise_crop(painter: _Painter, period: float, seed: int,
                       like: np.ndarray,
                       xy: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Fractal noise over the part of the window that a block covers."""
    del xy
    noise = fractal_noise(painter.window, period, painter.seed + seed, 3)
    base = painter.surface.segment
    start = (like.__array_interface__['data'][0]
             - base.__array_interface__['data'][0]) // base.itemsize
    r, c = divmod(start, base.shape[1])
    return noise[r:r + like.shape[0], c:c + like.shape[1]]


def _touches(line: np.ndarray, window: Window, margin: float) -> bool:
    low, high = line.min(0) - margin, line.max(0) + margin
    return bool(high[0] > 0 and high[1] > 0 and low[0] < window.width
                and low[1] < window.height)


def _resample(points: np.ndarray, step: float) -> np.ndarray:
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    at = np.arange(0, along[-1], step)
    return np.stack([np.interp(at, along, points[:, k]) for k in (0, 1)], -1)


__all__ = ['LAND_COVER', 'MARGIN', 'draw_surface', 'place_rng']
