# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Boats, aircraft and cars: small objects with oriented boxes."""

from __future__ import annotations

import cv2
import numpy as np

from .landscape import Landscape
from .noise import place_number
from .surface import Box, Surface

_CAR_PAINT = ('paint_white', 'paint_silver', 'paint_dark', 'paint_dark',
              'paint_red', 'paint_blue', 'paint_silver')


def rectangle(centre: np.ndarray, angle: float, length: float,
              width: float) -> np.ndarray:
    """Corners (4, 2) of a rectangle, front left first, clockwise."""
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    across = np.array([-np.sin(angle), np.cos(angle)]) * width / 2
    return np.stack([centre + along - across, centre + along + across,
                     centre - along + across, centre - along - across])


# Outlines in units of half length (x, forward) and half width (y).
_BOAT = np.array([(1, 0), (.45, 1), (-1, .85), (-1, -.85), (.45, -1)])
_CABIN = np.array([(.2, .5), (-.6, .5), (-.6, -.5), (.2, -.5)])
_PLANE = np.array([
    (1, 0), (.9, .09), (.3, .11), (-.15, 1), (-.32, 1), (-.12, .11),
    (-.72, .08), (-.9, .36), (-1, .36), (-.93, 0), (-1, -.36), (-.9, -.36),
    (-.72, -.08), (-.12, -.11), (-.32, -1), (-.15, -1), (.3, -.11),
    (.9, -.09)])
_BODY = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], float)
_GLASS = np.array([(.35, .75), (.1, .75), (.1, -.75), (.35, -.75)])


def _paint(surface: Surface, outline: np.ndarray, centre: np.ndarray,
           angle: float, length: float, width: float, segment: int,
           height: float) -> None:
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    across = np.array([-np.sin(angle), np.cos(angle)]) * width / 2
    corners = centre + outline[:, :1] * along + outline[:, 1:] * across
    w = surface.window
    points = w.to_pixels(corners)
    c0, r0 = np.floor(points.min(0) - 1).astype(int)
    c1, r1 = np.ceil(points.max(0) + 2).astype(int)
    if c0 < 0 or r0 < 0 or c1 > w.width or r1 > w.height:
        return
    mask = np.zeros((r1 - r0, c1 - c0), np.uint8)
    shifted = np.round((points - (c0, r0) - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [shifted], 1, shift=4)
    inside = mask > 0
    box = (slice(r0, r1), slice(c0, c1))
    surface.segment[box][inside] = segment
    surface.height[box][inside] += height
    surface.texture[box][inside] = 1


def _segment(surface: Surface, cover: int, paint: str, kind: str,
             tone: float = 1.0) -> int:
    """A segment that keeps the land cover beneath the object."""
    one = surface.add('road', paint, kind=kind, tone=tone)
    surface.segments[one].cover = cover
    return one


def draw_objects(landscape: Landscape, surface: Surface,
                 after: bool) -> None:
    """Draw all objects of a window and record their boxes.

    Args:
        landscape: The plan.
        surface: Layers that are changed in place.
        after: Objects of the later date stand elsewhere.
    """
    day = 1 if after else 0
    cover = surface.cover
    _boats(landscape, surface, cover, day)
    _aircraft(landscape, surface, cover, day)
    _cars(landscape, surface, cover, day)


def _at(surface: Surface, layer: np.ndarray, point: np.ndarray) -> int:
    c, r = np.floor(surface.window.to_pixels(point[None])[0]).astype(int)
    h, w = surface.window.shape
    return int(layer[r, c]) if 0 <= r < h and 0 <= c < w else -1


def _boats(landscape: Landscape, surface: Surface, cover: np.ndarray,
           day: int) -> None:
    pitch = 34.0
    x0, y0, x1, y1 = surface.window.extent
    for j in range(int(y0 // pitch), int(y1 // pitch) + 1):
        for i in range(int(x0 // pitch), int(x1 // pitch) + 1):
            rng = landscape.rng(80 + day, i, j)
            centre = (np.array([i, j]) + rng.uniform(0.2, 0.8, 2)) * pitch
            length = rng.uniform(6, 16)
            width = length * rng.uniform(0.26, 0.36)
            angle = rng.uniform(-np.pi, np.pi)
            if rng.random() > 0.55:
                continue
            ring = np.vstack([rectangle(centre, angle, length, width + 2),
                              centre])
            if any(_at(surface, cover, p) != 3 for p in ring):
                continue
            paint = ('paint_white', 'paint_white', 'paint_silver',
                     'tile_brown', 'paint_blue')[rng.integers(5)]
            hull = _segment(surface, 3, paint, 'boat')
            cabin = _segment(surface, 3, 'tile_brown' if paint[6:7] == 'w'
                             else 'paint_white', 'boat')
            _paint(surface, _BOAT, centre, angle, length, width, hull, 1.0)
            _paint(surface, _CABIN, centre, angle, length, width, cabin, 1.0)
            surface.boxes.append(Box('boat', rectangle(centre, angle, length,
                                                       width)))


def _aircraft(landscape: Landscape, surface: Surface, cover: np.ndarray,
              day: int) -> None:
    for i, j in landscape.blocks_in(surface.window.extent):
        if landscape.land_use(i, j) != 'airfield':
            continue
        outline = landscape.outline(i, j)
        # The frame in which the apron is painted.
        _, _, angle = landscape.frame(i, j)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        rng = landscape.rng(82 + day, i, j)
        for slot in np.arange(-70, 71, 28):
            length = rng.uniform(14, 26)
            width = length * rng.uniform(0.85, 1.05)
            turn = angle + np.pi / 2 + rng.normal(0, 0.12) + (
                np.pi if rng.random() < 0.3 else 0)
            centre = outline.mean(0) + slot * along + rng.uniform(
                -58, -40) * across
            paint = ('paint_white', 'paint_white', 'paint_silver')[
                rng.integers(3)]
            if rng.random() > 0.8:
                continue
            corners = rectangle(centre, turn, length, width)
            if any(_at(surface, cover, p) != 4 for p in corners):
                continue
            body = _segment(surface, 4, paint, 'aircraft')
            _paint(surface, _PLANE, centre, turn, length, width, body, 3.0)
            surface.boxes.append(Box('aircraft', corners))


def _cars(landscape: Landscape, surface: Surface, cover: np.ndarray,
          day: int) -> None:
    kinds = surface.column('kind')
    parking = kinds == 'parking'
    lanes = np.isin(kinds, ('road', 'street'))
    x0, y0, x1, y1 = surface.window.extent
    for road in landscape.roads_in(surface.window.extent):
        if road.kind == 'track' or (road.new and not day):
            continue
        tangent = np.gradient(road.points, axis=0)
        x, y = road.points.T
        near = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        for k in np.flatnonzero(near[1:-1]) + 1:
            for side in (-1, 1):
                place = [int(v * 2) for v in road.points[k]]
                h = [place_number(landscape.seed + 90 + day * 10 + n, side,
                                  *place) for n in range(4)]
                if h[0] > 0.24:
                    continue
                angle = float(np.arctan2(tangent[k, 1], tangent[k, 0]))
                normal = np.array([-np.sin(angle), np.cos(angle)])
                centre = (road.points[k] + (h[1] - 0.5) * 6 * np.array(
                    [np.cos(angle), np.sin(angle)])
                    + side * normal * road.width * 0.25)
                _car(surface, cover, lanes, centre, angle, h[2], h[3])
    pitch = 26.0
    for j in range(int(y0 // pitch), int(y1 // pitch) + 1):
        for i in range(int(x0 // pitch), int(x1 // pitch) + 1):
            corner = np.array([i, j]) * pitch + 4
            below = _at(surface, surface.segment, corner)
            if not 0 <= below < len(parking) or not parking[below]:
                continue
            rng = landscape.rng(84 + day, i, j)
            angle = 0.3 * place_number(landscape.seed + 99, i // 4, j // 4)
            along = np.array([np.cos(angle), np.sin(angle)])
            across = np.array([-along[1], along[0]])
            for row in range(2):
                for slot in range(6):
                    paint, tone = rng.random(2)
                    if rng.random() > 0.5:
                        continue
                    centre = corner + slot * 2.9 * along + row * 7 * across
                    _car(surface, cover, parking, centre,
                         angle + np.pi / 2, paint, tone)


def _car(surface: Surface, cover: np.ndarray, ground: np.ndarray,
         centre: np.ndarray, angle: float, paint: float,
         tone: float) -> None:
    corners = rectangle(centre, angle, 4.6, 2.0)
    below = [_at(surface, surface.segment, p) for p in (*corners, centre)]
    # Segments of cars drawn before are not in `ground`: no overlaps.
    if any(b < 0 or b >= len(ground) or not ground[b] for b in below):
        return
    body = _segment(surface, 4, _CAR_PAINT[int(paint * len(_CAR_PAINT))],
                    'car', 0.8 + 0.3 * tone)
    glass = _segment(surface, 4, 'paint_dark', 'car')
    _paint(surface, _BODY, centre, angle, 4.6, 2.0, body, 1.5)
    _paint(surface, _GLASS, centre, angle, 4.6, 2.0, glass, 0.0)
    surface.boxes.append(Box('car', corners))
