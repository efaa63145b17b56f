# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Draws the plan of the landscape into the layers of a window."""

from __future__ import annotations

from .built import paint_buildings, paint_roads
from .canvas import Canvas
from .landscape import Landscape
from .nature import paint_trees, paint_water, paint_woods
from .objects import draw_objects
from .parcels import paint_blocks
from .surface import Surface
from .window import Window

MARGIN = 40.0  # metres drawn around a tile: shadows and blur come from there


def draw_surface(landscape: Landscape, window: Window, year: int = 0,
                 after: bool = False) -> Surface:
    """Draw the ground of a window.

    Args:
        landscape: The plan.
        window: Where; add :data:`MARGIN` before and cut it off afterwards.
        year: Crop rotation year: every year a field bears another crop.
        after: Draw the later state with new buildings, roads, clearings.

    Returns:
        The layers of the window.
    """
    canvas = Canvas(landscape, window, year, after)
    paint_blocks(canvas)
    paint_woods(canvas)
    paint_water(canvas)
    paint_roads(canvas)
    paint_buildings(canvas)
    paint_trees(canvas)
    canvas.surface.ground = canvas.surface.segment.copy()
    draw_objects(landscape, canvas.surface, after)
    return canvas.surface
