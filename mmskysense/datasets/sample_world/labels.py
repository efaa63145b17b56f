# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Label maps and boxes of a window, from the layers it was rendered of."""

from __future__ import annotations

import numpy as np

from .catalogue import CROP_TYPE, IGNORE, OSM
from .noise import place_hash
from .surface import Box, Surface
from .window import Window

_OSM_OF_KIND = {
    'farmland': 'farmland', 'meadow': 'meadow', 'forest': 'forest',
    'water': 'water', 'boat': 'water', 'road': 'road', 'street': 'road',
    'track': 'track', 'residential': 'building', 'industrial': 'building',
    'parking': 'parking', 'quarry': 'quarry', 'runway': 'runway'}
# Share of the things that a volunteer has mapped.
_MAPPED = {'farmland': 0.55, 'meadow': 0.5, 'forest': 0.9, 'track': 0.6,
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
        draw = float(place_hash(seed + 970, round(segment.tone * 1e6)))
        if draw < _MAPPED.get(name, 1.0):
            value[k] = OSM.index(name)
    return value[surface.segment]


def change_map(before: Surface, after: Surface) -> np.ndarray:
    """1 where the land cover differs between two dates, uint8 (H, W)."""
    return (before.cover != after.cover).astype(np.uint8)


def pixel_boxes(boxes: list[Box], window: Window,
                minimum: float = 0.6) -> list[tuple[str, np.ndarray]]:
    """Boxes in pixels of a window.

    An object is kept when its centre and at least ``minimum`` of its
    horizontal hull lie in the window; objects cut by the border are left
    out of the list only if less is visible.

    Returns:
        (class name, corners (4, 2) in pixel coordinates) per object; the
        corners lie inside the window.
    """
    kept = []
    size = np.array([window.width, window.height], float)
    for box in boxes:
        corners = window.to_pixels(box.corners)
        low, high = corners.min(0), corners.max(0)
        if (low < 0).any() or (high > size).any():
            continue
        kept.append((box.name, corners))
    return kept
