# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Paints roads, driveways and roofs."""

from __future__ import annotations

import cv2
import numpy as np

from .buildings import Building, block_buildings
from .canvas import Canvas, around, fill, resample, stroke
from .landscape import Road
from .noise import place_number


def paint_roads(canvas: Canvas) -> None:
    """All roads, minor ones first."""
    for road in canvas.landscape.roads_in(canvas.window.extent):
        if canvas.after or not road.new:
            _road(canvas, road)


def _road(canvas: Canvas, road: Road) -> None:
    surface, window = canvas.surface, canvas.window
    line = resample(window.to_pixels(road.points), 8)
    ends = window.to_pixels(road.points[[0, -1]])
    line = np.concatenate([ends[:1], line, ends[1:]])
    box = around(line, window, 16)
    if box is None:
        return
    corner = np.array([box[1].start, box[0].start])
    mask = np.zeros((box[0].stop - corner[1], box[1].stop - corner[0]),
                    np.uint8)
    stroke(mask, line - corner, road.width / window.resolution, 1)
    paved = mask > 0
    tone = 0.72 + 0.55 * place_number(
        canvas.seed + 61, *(int(v) for v in road.points[0]))
    segment = surface.add(
        'road', road.material, tone=tone, kind=road.kind,
        second='soil_loam', mix=0.45 if road.kind == 'track' else 0.05)
    texture = np.ones(mask.shape, np.float32)
    if road.kind == 'road':
        paint = np.zeros(mask.shape, np.uint8)
        dense = resample(line - corner, 4.0)
        for k in range(0, len(dense) - 2, 4):
            stroke(paint, dense[k:k + 3], 0.5, 1)
        texture[paint > 0] = 1.7
    elif road.kind == 'track':  # grass grows between the wheel tracks
        middle = np.zeros(mask.shape, np.uint8)
        stroke(middle, line - corner, 2, 1)
        texture[middle > 0] = 0.72
    canvas.put(paved, segment, 0.14, 0.07, box, texture)
    surface.height[box][paved] = 0
    canvas.trees[box][cv2.dilate(mask, np.ones((9, 9))) > 0] = 0


def paint_buildings(canvas: Canvas) -> None:
    """Driveways first, then all roofs."""
    landscape, window = canvas.landscape, canvas.window
    buildings = [
        b for i, j in landscape.blocks_in(window.extent, 10)
        for b in block_buildings(landscape, i, j)
        if canvas.after or not b.new]
    # Driveways end at the street and never cross water.
    open_ground = ~np.isin(canvas.surface.cover, (3, 4))
    for building in buildings:
        if building.drive is not None:
            _driveway(canvas, building, open_ground)
    for building in buildings:
        _roof(canvas, building)


def _driveway(canvas: Canvas, b: Building,
              open_ground: np.ndarray) -> None:
    assert b.drive is not None
    line = canvas.window.to_pixels(np.array([b.drive, b.centre]))
    box = around(line, canvas.window, 8)
    if box is None:
        return
    corner = np.array([box[1].start, box[0].start])
    mask = np.zeros((box[0].stop - corner[1], box[1].stop - corner[0]),
                    np.uint8)
    along = line[1] - line[0]
    side = np.array([-along[1], along[0]]) / max(np.hypot(*along), 1)
    side = side * 1.8 / canvas.window.resolution
    fill(mask, np.stack([line[0] + side, line[1] + side, line[1] - side,
                         line[0] - side]) - corner, 1)
    dry = (mask > 0) & open_ground[box]
    segment = canvas.surface.add(
        'road', ('gravel', 'concrete', 'asphalt_old')[int(b.tone * 97) % 3],
        tone=0.55 + 0.35 * b.tone, kind='driveway')
    canvas.put(dry, segment, 0.15, 0.05, box)
    canvas.trees[box][mask > 0] = 0


def _roof(canvas: Canvas, b: Building) -> None:
    """Material, height and slope of one wing."""
    surface, window = canvas.surface, canvas.window
    centre = window.to_pixels(np.array(b.centre)[None])
    box = around(centre, window, b.reach / window.resolution + 2)
    if box is None:
        return
    dx = window.x[box[1]][None, :] - b.centre[0]
    dy = window.y[box[0]][:, None] - b.centre[1]
    u = dx * np.cos(b.angle) + dy * np.sin(b.angle)
    v = dy * np.cos(b.angle) - dx * np.sin(b.angle)
    inside = (np.abs(u) < b.length / 2) & (np.abs(v) < b.width / 2)
    roof = b.height + b.pitch * (b.width / 2 - np.abs(v))
    inside &= roof > surface.height[box]
    segment = surface.add('building', b.material, tone=b.tone, kind=b.use)
    texture = 1 + 0.03 * np.sin(6.283 * u / 1.3)
    if b.pitch == 0:  # parapet, skylights and machines of a flat roof
        rim = (b.length / 2 - np.abs(u) < 0.7) | (
            b.width / 2 - np.abs(v) < 0.7)
        light = (np.abs(u % 9 - 4) < 0.8) & (np.abs(v) < b.width / 3)
        texture = texture + 0.25 * rim + 0.5 * light * (b.tone > 1)
    canvas.put(inside, segment, 0.12, 0.06, box, texture)
    surface.height[box][inside] = roof[inside]
    grown = around(centre, window, b.reach / window.resolution + 6)
    assert grown is not None
    canvas.trees[grown] = np.minimum(canvas.trees[grown], 0.04)
    canvas.trees[box][inside] = 0
