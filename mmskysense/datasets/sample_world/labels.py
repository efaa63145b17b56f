# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Label maps and boxes of a window, from the layers it was rendered of."""

from __future__ import annotations

import numpy as np

from .catalogue import CROP_TYPE, IGNORE, OSM
from .noise import place_number, smooth_noise
from .surface import Box, Surface
from .window import Window

_OSM_OF_KIND = {
    'farmland': 'farmland', 'meadow': 'meadow', 'forest': 'forest',
    'water': 'water', 'boat': 'water', 'road': 'road', 'street': 'road',
    'track': 'track', 'residential': 'building', 'industrial': 'building',
    'parking': 'parking', 'quarry': 'quarry', 'runway': 'runway'}
# Share of the things that a volunteer has mapped.
_MAPPED = {'farmland': 0.55, 'meadow': 0.5, 'track': 0.6,
           'building': 0.8, 'parking': 0.6}


def crop_map(surface: Surface, share: np.ndarray,
             purity: float = 0.6) -> np.ndarray:
    """Crop of the coarse pixels.

    Args:
        surface: Supplies the segments.
        share: Unlit fractions, (n, h, w), sum 1.
        purity: Pixels whose largest class is smaller are ignored.

    Returns:
        uint8 (h, w), 0 where no crop grows, 255 where mixed.
    """
    crop = surface.column('crop')
    total = np.stack([share[crop == k].sum(0)
                      for k in range(len(CROP_TYPE.names))])
    label = total.argmax(0).astype(np.uint8)
    label[total.max(0) < purity] = IGNORE
    return label


def osm_map(surface: Surface, seed: int) -> np.ndarray:
    """Incomplete map classes as volunteers draw them, uint8 (H, W)."""
    value = np.full(len(surface.segments), IGNORE, np.uint8)
    for k, segment in enumerate(surface.segments):
        name = _OSM_OF_KIND.get(segment.kind)
        if name is None:
            continue
        # A segment's tone is unique to it and the same in every window.
        draw = place_number(seed + 970, round(segment.tone * 1e6))
        if draw < _MAPPED.get(name, 1.0):
            value[k] = OSM.index(name)
    label = value[surface.ground]
    # Woods are mapped region by region.
    known = smooth_noise(surface.window, 250, seed + 975) > -1
    label[(label == OSM.index('forest')) & ~known] = IGNORE
    return label


def change_map(before: Surface, after: Surface) -> np.ndarray:
    """1 where the land cover differs between two dates, uint8 (H, W)."""
    return (before.cover != after.cover).astype(np.uint8)


def pixel_boxes(boxes: list[Box],
                window: Window) -> list[tuple[str, np.ndarray]]:
    """Boxes in pixels of a window.

    Objects that the border cuts are left out, so that every oriented box
    and its horizontal hull lie inside the picture.

    Returns:
        (class name, corners (4, 2) in pixel coordinates) per object.
    """
    size = np.array([window.width, window.height], float)
    kept = []
    for box in boxes:
        corners = window.to_pixels(box.corners)
        if (corners >= 0).all() and (corners <= size).all():
            kept.append((box.name, corners))
    return kept
