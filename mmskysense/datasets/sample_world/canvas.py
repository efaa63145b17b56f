# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What all painters of the landscape share: layers, noise, polygons."""

from __future__ import annotations

import cv2
import numpy as np

from .landscape import Landscape
from .noise import fractal_noise, pixel_noise
from .surface import Surface
from .window import Window

_SUBPIXEL = 4  # bits of sub-pixel precision of OpenCV's drawing

Box = tuple[slice, slice]


class Canvas:
    """Layers of a window while they are painted.

    Later layers cover earlier ones.

    Args:
        landscape: The plan.
        window: Where.
        year: Crop rotation year.
        after: Paint the later state of the world.
    """

    def __init__(self, landscape: Landscape, window: Window, year: int,
                 after: bool) -> None:
        self.landscape = landscape
        self.window = window
        self.seed = landscape.seed
        self.year = year
        self.after = after
        self.surface = Surface(window, np.zeros(window.shape, np.int32),
                               np.zeros(window.shape, np.float32),
                               np.ones(window.shape, np.float32))
        # Slow changes of soil, fine grain of any natural surface.
        self.slow = fractal_noise(window, 46, self.seed + 101, 3, 0.6)
        self.grain = cv2.GaussianBlur(
            pixel_noise(window, self.seed + 111), (0, 0), 0.5) * 1.5
        # Chance of a tree at each place of the lattice of trees.
        self.trees = np.zeros(window.shape, np.float32)

    def put(self, where: np.ndarray, segment: int, grain: float = 0.1,
            slow: float = 0.08, box: Box | None = None,
            texture: np.ndarray | float = 1.0) -> None:
        """Give pixels a segment and a texture.

        Args:
            where: bool mask of the window, or of ``box``.
            segment: Id of the segment.
            grain: Strength of the fine texture.
            slow: Strength of the slow variation.
            box: Rows and columns that the mask covers; default all.
            texture: Further factor, a number or like ``where``.
        """
        box = box or (slice(None), slice(None))
        self.surface.segment[box][where] = segment
        value = texture * (1 + slow * self.slow[box] + grain
                           * self.grain[box])
        self.surface.texture[box][where] = value[where]


def fill(mask: np.ndarray, polygon: np.ndarray, value: float) -> None:
    """Fill a polygon, pixel coordinates (n, 2) from the edge, in place."""
    points = np.round((polygon - 0.5) * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(mask, [points], value, shift=_SUBPIXEL)


def stroke(mask: np.ndarray, line: np.ndarray, width: float,
           value: float) -> None:
    """Fill a band of a width in pixels around a polyline, in place."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(*tangent.T)[:, None], 1e-6)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1) * width / 2
    left, right = line + normal, line - normal
    for k in range(len(line) - 1):
        fill(mask, np.stack([left[k], left[k + 1], right[k + 1], right[k]]),
             value)


def resample(points: np.ndarray, step: float) -> np.ndarray:
    """A polyline (n, 2) at equal steps along it (m, 2)."""
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    at = np.arange(step / 2, along[-1], step)
    return np.stack([np.interp(at, along, points[:, k]) for k in (0, 1)], -1)


def around(points: np.ndarray, window: Window, margin: float) -> Box | None:
    """The part of a window around points (pixels), or ``None`` if none."""
    c0, r0 = np.maximum(np.floor(points.min(0) - margin), 0).astype(int)
    c1, r1 = np.minimum(np.ceil(points.max(0) + margin),
                        (window.width, window.height)).astype(int)
    if c0 >= c1 or r0 >= r1:
        return None
    return slice(r0, r1), slice(c0, c1)
