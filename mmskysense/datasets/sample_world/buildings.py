# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Houses along streets, halls in industrial blocks, hangars, farms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .canvas import resample
from .landscape import Landscape, Road

_PITCHED = ('tile_red', 'tile_red', 'tile_brown', 'tile_brown', 'slate',
            'slate', 'fibre_cement')
_FLAT = ('bitumen', 'concrete', 'fibre_cement', 'metal', 'gravel', 'bitumen',
         'asphalt_old')


@dataclass(frozen=True)
class Building:
    """A rectangular wing; an L-shaped house has two.

    Args:
        centre: World x, y in metres.
        angle: Direction of the long axis in radians, from x towards y.
        length: Metres along the axis.
        width: Metres across.
        height: Height of the eaves in metres.
        pitch: Slope of the roof; 0 is a flat roof.
        material: Roof material.
        tone: Relative brightness of the roof.
        new: Built between the two dates.
        use: ``'residential'`` or ``'industrial'``.
        drive: Where its driveway meets the street, if it has one.
    """

    centre: tuple[float, float]
    angle: float
    length: float
    width: float
    height: float
    pitch: float
    material: str
    tone: float
    new: bool = False
    use: str = 'residential'
    drive: tuple[float, float] | None = None

    @property
    def reach(self) -> float:
        """Half of the diagonal."""
        return 0.5 * float(np.hypot(self.length, self.width))


class _Site:
    """Free ground of a block: roads (n, 3: x, y, width) and circles taken."""

    def __init__(self, landscape: Landscape, roads: np.ndarray) -> None:
        self.landscape = landscape
        self.roads = roads
        self.taken = np.zeros((0, 3))

    def claim(self, centre: np.ndarray, reach: float,
              keep: bool = True) -> bool:
        """Take a circle if it is clear of roads, buildings and water."""
        gap = np.hypot(*(self.roads[:, :2] - centre).T)
        if (gap < 0.8 * reach + self.roads[:, 2] / 2 + 2).any():
            return False
        gap = np.hypot(*(self.taken[:, :2] - centre).T)
        if (gap < 0.86 * (reach + self.taken[:, 2])).any():
            return False
        if self.landscape.water_distance_at(centre[None])[0] < reach + 5:
            return False
        if keep:
            self.taken = np.vstack([self.taken, [*centre, reach]])
        return True


@lru_cache(4096)
def block_buildings(landscape: Landscape, i: int,
                    j: int) -> tuple[Building, ...]:
    """All buildings of a block, in a fixed order."""
    use = landscape.land_use(i, j)
    if use not in ('village', 'industrial', 'farmland', 'meadow',
                   'airfield'):
        return ()
    rng = landscape.rng(40, i, j)
    outline = landscape.outline(i, j)
    middle = outline.mean(0)
    edges = [(i, j, False), (i + 1, j, True), (i, j + 1, False), (i, j, True)]
    lines = [(landscape.edge(*e), landscape.road(*e)) for e in edges]
    inner = landscape.inner_roads(i, j)
    site = _Site(landscape, np.concatenate([
        np.insert(resample(points, 4.0), 2, width, axis=1)
        for points, width in (
            *((p, road.width if road else 2.0) for p, road in lines),
            *((road.points, road.width) for road in inner))]))
    buildings: list[Building] = []
    if use == 'village':
        density = rng.uniform(0.8, 1.0)
        streets: list[tuple[np.ndarray, Road, tuple[int, ...]]] = [
            (p, r, (0, )) for p, r in lines if r is not None]
        streets += [(r.points, r, (1, -1)) for r in inner]
        for points, road, sides in streets:
            _line_houses(site, rng, points, road.width, sides, middle,
                         density, buildings, road.new)
    elif use in ('farmland', 'meadow'):
        if rng.random() < 0.45:
            _farm(site, rng, outline, middle, buildings)
    else:
        count = 14 if use == 'industrial' else 3
        _halls(site, rng, outline, middle, count, buildings)
    return tuple(buildings)


def _line_houses(site: _Site, rng: np.random.Generator,
                 points: np.ndarray, road_width: float,
                 sides: tuple[int, ...], middle: np.ndarray, density: float,
                 buildings: list[Building], new_street: bool) -> None:
    """Place houses on one or both sides of a street."""
    stations = resample(points, rng.uniform(13, 18))
    if len(stations) < 3:
        return
    tangent = np.gradient(stations, axis=0)
    heading = np.arctan2(tangent[:, 1], tangent[:, 0])
    style = rng.choice(len(_PITCHED))
    for side in sides:
        for at, angle in zip(stations, heading, strict=True):
            if rng.random() > density:
                continue
            normal = np.array([-np.sin(angle), np.cos(angle)])
            sign = side or np.sign(normal @ (middle - at))
            length, width = rng.uniform(10, 17), rng.uniform(8, 11)
            if rng.random() < 0.3:
                angle = angle + np.pi / 2
            centre = at + sign * normal * (
                road_width / 2 + rng.uniform(2, 6) + length / 2)
            reach = 0.5 * np.hypot(length, width)
            if not site.claim(centre, float(reach)):
                continue
            material = _PITCHED[style if rng.random() < 0.45 else rng.integers(
                len(_PITCHED))]
            new = new_street or rng.random() < 0.13
            tone = rng.uniform(0.75, 1.25)
            height, pitch = rng.uniform(3.2, 6.5), rng.uniform(0.55, 0.95)
            buildings.append(Building(
                tuple(centre), angle, length, width, height, pitch, material,
                tone, new, drive=(float(at[0]), float(at[1]))))
            if rng.random() < 0.7:  # a shed or garage in the garden
                shed = centre + sign * normal * rng.uniform(
                    11, 17) + rng.uniform(-6, 6) * np.array(
                        [np.cos(angle), np.sin(angle)])
                if site.claim(shed, 3.5):
                    buildings.append(Building(
                        tuple(shed), angle, rng.uniform(4, 8),
                        rng.uniform(3, 5), 2.4, 0.3,
                        ('fibre_cement', 'bitumen', 'tile_brown', 'metal',
                         'slate')[rng.integers(5)], tone, new))
            if rng.random() < 0.45:  # an L-shaped house has a second wing
                wing = rng.uniform(6, 9)
                end = rng.choice((-1, 1)) * (length - 6.5) / 2
                off = rng.choice((-1, 1)) * (width + wing - 3) / 2
                place = centre + end * np.array(
                    [np.cos(angle), np.sin(angle)]) + off * np.array(
                        [-np.sin(angle), np.cos(angle)])
                buildings.append(Building(
                    tuple(place), angle + np.pi / 2, wing + 3, 6.5,
                    height - 0.4, pitch, material, tone, new))


def _farm(site: _Site, rng: np.random.Generator, outline: np.ndarray,
          middle: np.ndarray, buildings: list[Building]) -> None:
    """A farmstead of barns around a yard near the edge of the block."""
    corner = outline[rng.integers(len(outline))]
    yard = corner + 0.3 * (middle - corner)
    angle = rng.uniform(0, np.pi)
    for k in range(5):
        turn = angle + k * np.pi / 2
        length, width = rng.uniform(14, 34), rng.uniform(9, 15)
        centre = yard + rng.uniform(16, 27) * np.array(
            [np.cos(turn), np.sin(turn)])
        reach = 0.5 * np.hypot(length, width)
        if not site.claim(centre, float(reach)):
            continue
        buildings.append(Building(
            tuple(centre), turn + np.pi / 2, length, width,
            rng.uniform(4, 7), 0.35,
            ('fibre_cement', 'tile_brown', 'slate', 'tile_red',
             'metal')[rng.integers(5)], rng.uniform(0.7, 1.2),
            rng.random() < 0.15))


def _halls(site: _Site, rng: np.random.Generator, outline: np.ndarray,
           middle: np.ndarray, count: int, buildings: list[Building]) -> None:
    """Large flat halls on a common grid direction."""
    direction = outline[16] - outline[0]
    angle = float(np.arctan2(direction[1], direction[0]))
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    placed: list[tuple[float, float, float, float]] = []
    for _ in range(count * 8):
        if len(buildings) >= count:
            break
        u, v = rng.uniform(-100, 100, 2)
        length, width = rng.uniform(18, 54), rng.uniform(14, 34)
        if count < 5:  # hangars stand along the edge of the airfield
            u, v = 0.7 * u, -88.0
        centre = middle + u * along + v * across
        reach = 0.5 * float(np.hypot(length, width))
        if any(abs(u - a) < (length + c) / 2 + 5
               and abs(v - b) < (width + d) / 2 + 5 for a, b, c, d in placed
               ) or not site.claim(centre, reach, keep=False):
            continue
        placed.append((u, v, length, width))
        buildings.append(Building(
            tuple(centre), angle, length, width, rng.uniform(6, 11), 0.0,
            _FLAT[rng.integers(len(_FLAT))], rng.uniform(0.75, 1.2),
            rng.random() < 0.16, 'industrial'))
