# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The plan of the landscape: road network, land use of blocks, water.

Roads join the nodes of a jittered lattice by curved edges; four edges
enclose a block, and each block has one land use. Everything is a pure
function of the seed and lattice coordinates, so any window of an unbounded
landscape can be drawn on its own. The layout is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .noise import noise_at, place_hash, place_number, place_rng, smooth_noise
from .window import Window

SPACING = 240.0  # metres between the nodes of the road lattice
SUPER = 4  # blocks along one side of a district
RIVER_SPACING = 1150.0

# The land uses of the 16 blocks of a district, shuffled for each district,
# so that a few square kilometres hold everything.
DISTRICT = ('farmland', ) * 6 + ('village', ) * 4 + ('forest', ) * 2 + (
    'meadow', 'quarry', 'industrial', 'airfield')


@dataclass(frozen=True)
class Road:
    """A road's centre line.

    Args:
        points: (n, 2) world metres.
        width: Metres.
        material: Surface material.
        kind: ``'road'``, ``'street'`` or ``'track'``.
        new: Built between the two dates.
    """

    points: np.ndarray
    width: float
    material: str
    kind: str
    new: bool = False


def curve(start: np.ndarray, end: np.ndarray, bow: float, wave: float,
          points: int = 17) -> np.ndarray:
    """Curved line: a bow plus an S-shaped wave across the chord (n, 2)."""
    t = np.linspace(0, 1, points)[:, None]
    chord = end - start
    normal = np.array([-chord[1], chord[0]])
    swing = bow * np.sin(np.pi * t)**2 + wave * np.sin(2 * np.pi * t)
    return start + t * chord + swing * normal


class Landscape:
    """Everything that can be known about the ground without a raster.

    Args:
        seed: Seed of the world.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.node = lru_cache(4096)(self._node)
        self.edge = lru_cache(4096)(self._edge)
        self.water_distance = lru_cache(1)(self._water_distance)
        self.land_use = lru_cache(4096)(self._land_use)
        self._district = lru_cache(256)(self._draw_district)

    def hash(self, purpose: int, *keys: int) -> float:
        """One uniform number for a purpose at a place."""
        return place_number(self.seed * 1009 + purpose, *keys)

    def rng(self, purpose: int, *keys: int) -> np.random.Generator:
        """Generator for a purpose at a place."""
        return place_rng(self.seed, purpose, *keys)

    # -- lattice ---------------------------------------------------------

    def _node(self, i: int, j: int) -> np.ndarray:
        jitter = np.array([self.hash(1, i, j), self.hash(2, i, j)]) - 0.5
        return (np.array([i, j]) + 0.62 * jitter) * SPACING

    def _edge(self, i: int, j: int, down: bool) -> np.ndarray:
        """Line from node (i, j) to its right or lower neighbour (17, 2)."""
        end = self.node(i, j + 1) if down else self.node(i + 1, j)
        bow = 0.34 * (self.hash(3 + down, i, j) - 0.5)
        wave = 0.14 * (self.hash(5 + down, i, j) - 0.5)
        return curve(self.node(i, j), end, bow, wave)

    def blocks_in(self, extent: tuple[float, float, float, float],
                  margin: float = 0.0) -> list[tuple[int, int]]:
        """Blocks that may touch an extent (x0, y0, x1, y1 in metres)."""
        reach = 0.55 * SPACING + margin
        i0, j0 = (int(np.floor((v - reach) / SPACING)) for v in extent[:2])
        i1, j1 = (int(np.ceil((v + reach) / SPACING)) for v in extent[2:])
        return [(i, j) for j in range(j0, j1) for i in range(i0, i1)]

    def outline(self, i: int, j: int) -> np.ndarray:
        """Closed outline of a block, clockwise on the map (n, 2)."""
        return np.concatenate([
            self.edge(i, j, False)[:-1],
            self.edge(i + 1, j, True)[:-1],
            self.edge(i, j + 1, False)[::-1][:-1],
            self.edge(i, j, True)[::-1][:-1]])

    def frame(self, i: int, j: int
              ) -> tuple[np.random.Generator, np.ndarray, float]:
        """Generator, middle point (2,) and direction of a block."""
        rng = self.rng(50, i, j)
        outline = self.outline(i, j)
        chord = outline[16] - outline[0]
        turn = np.pi / 2 if rng.random() < 0.5 else 0.0
        return rng, outline.mean(0), float(
            np.arctan2(chord[1], chord[0]) + rng.uniform(-0.12, 0.12) + turn)

    def _draw_district(self, i: int, j: int) -> tuple[str, ...]:
        return tuple(self.rng(7, i, j).permutation(DISTRICT).tolist())

    def _land_use(self, i: int, j: int) -> str:
        uses = self._district(i // SUPER, j // SUPER)
        return uses[(j % SUPER) * SUPER + i % SUPER]

    # -- roads -----------------------------------------------------------

    def road(self, i: int, j: int, down: bool) -> Road | None:
        """The road along a lattice edge, if there is one."""
        line = i if down else j
        sides = {self.land_use(i, j),
                 self.land_use(i - 1, j) if down else self.land_use(i, j - 1)}
        draw = self.hash(10 + down, i, j)
        points = self.edge(i, j, down)
        if self.hash(12 + down, line) < 0.4:
            old = self.hash(14, line) < 0.6
            return Road(points, 8.0, 'asphalt_old' if old else 'asphalt_new',
                        'road')
        if sides & {'village', 'industrial', 'airfield'}:
            return Road(points, 5.5 + 1.5 * draw,
                        ('asphalt_old', 'asphalt_new', 'asphalt_old',
                         'concrete')[int(draw * 4)], 'street')
        if (sides <= {'forest', 'meadow'} and draw < 0.4) or draw < 0.22:
            return None
        return Road(points, 3.6 + draw, 'gravel', 'track', new=draw > 0.86)

    def roads_in(self, extent: tuple[float, float, float, float],
                 margin: float = 0.0) -> list[Road]:
        """All roads that may touch an extent, tracks first."""
        roads = []
        for i, j in self.blocks_in(extent, margin):
            for down in (False, True):
                road = self.road(i, j, down)
                if road is not None:
                    roads.append(road)
            roads.extend(self.inner_roads(i, j))
        order = {'track': 0, 'street': 1, 'road': 2}
        return sorted(roads, key=lambda road: order[road.kind])

    def inner_roads(self, i: int, j: int) -> list[Road]:
        """Streets that cut a village block in parts."""
        if self.land_use(i, j) != 'village':
            return []
        rng = self.rng(16, i, j)
        streets = []
        for down in (False, True) if rng.random() < 0.7 else (False, ):
            k = int(rng.integers(6, 11))
            end = (i, j + 1) if down else (i + 1, j)
            line = curve(self.edge(i, j, not down)[k],
                         self.edge(*end, not down)[k + 16 - 2 * k],
                         rng.uniform(-0.12, 0.12), rng.uniform(-0.08, 0.08))
            streets.append(Road(
                line, rng.uniform(4, 6),
                ('asphalt_old', 'asphalt_new')[rng.integers(2)], 'street',
                new=down and rng.random() < 0.35))
        return streets

    # -- water -----------------------------------------------------------

    def _river_distance(self, x: np.ndarray, y: np.ndarray,
                        wx: np.ndarray, wy: np.ndarray) -> np.ndarray:
        x, y = x + 55 * wx, y + 60 * wy
        phase = RIVER_SPACING * (0.2 + 0.6 * self.hash(20))
        line = np.round((y - phase) / RIVER_SPACING)
        first = 6.283 * place_hash(self.seed * 1009 + 21,
                                   line.astype(np.int64))
        a = 2 * np.pi * x / 930 + first
        b = 2 * np.pi * x / 390 + 2.3 * first
        centre = phase + line * RIVER_SPACING + 120 * np.sin(a) + 48 * np.sin(
            b)
        slope = 120 * 2 * np.pi / 930 * np.cos(a) + 48 * 2 * np.pi / 390 \
            * np.cos(b)
        width = 15 + 5 * np.sin(2 * np.pi * x / 610 + first)
        return np.abs(y - centre) / np.sqrt(1 + slope**2) - width

    def _lake_distance(self, x: np.ndarray, y: np.ndarray,
                       wx: np.ndarray, wy: np.ndarray) -> np.ndarray:
        x, y = x + 22 * wy, y + 22 * wx
        size = 0.75 * SUPER * SPACING
        nearest = np.full(np.broadcast(x, y).shape, 1e6)
        i0, i1 = int(np.floor(x.min() / size)), int(np.floor(x.max() / size))
        j0, j1 = int(np.floor(y.min() / size)), int(np.floor(y.max() / size))
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                rng = self.rng(22, i, j)
                cx, cy = (np.array([i, j]) + rng.uniform(0.25, 0.75, 2)
                          ) * size
                radius, ratio = rng.uniform(30, 82), rng.uniform(1, 1.9)
                turn = rng.uniform(0, np.pi)
                u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
                v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
                nearest = np.minimum(
                    nearest, np.hypot(u, v * ratio) - radius)
        return nearest

    def _water_distance(self, window: Window) -> np.ndarray:
        """Signed distance to the shore in metres, negative in water (H, W).

        Approximate away from the shore.
        """
        wx = smooth_noise(window, 170, self.seed + 31)
        wy = smooth_noise(window, 170, self.seed + 37)
        x, y = window.x[None, :], window.y[:, None]
        return np.minimum(self._river_distance(x, y, wx, wy),
                          self._lake_distance(x, y, wx, wy))

    def water_distance_at(self, points: np.ndarray) -> np.ndarray:
        """:meth:`water_distance` at points (n, 2) to (n,)."""
        x, y = points[:, 0], points[:, 1]
        wx = noise_at(x, y, 170, self.seed + 31)
        wy = noise_at(x, y, 170, self.seed + 37)
        return np.minimum(self._river_distance(x, y, wx, wy),
                          self._lake_distance(x, y, wx, wy))
