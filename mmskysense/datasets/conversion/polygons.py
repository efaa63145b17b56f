# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Corners of oriented boxes: order, area, and the part a tile shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np


def polygon_area(corners: Sequence[float]) -> float:
    """Area of a polygon x1 y1 x2 y2 ...; 0 for a bow tie of equal halves."""
    xs, ys = corners[::2], corners[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1]
                   for i in range(len(xs)))) / 2


def untangle(corners: Sequence[float]) -> list[float]:
    """Four corners in order around their centre, so no side crosses another.

    Args:
        corners: x1 y1 ... x4 y4.

    Returns:
        The same corners, from the first one on.
    """
    points = list(zip(corners[::2], corners[1::2], strict=True))
    cx, cy = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    turned = sorted(points, key=lambda p: math.atan2(p[1] - cy, p[0] - cx))
    first = turned.index(points[0])
    return [value for point in turned[first:] + turned[:first]
            for value in point]


def is_crossed(corners: Sequence[float]) -> bool:
    """Whether two opposite sides of a four-sided polygon cross.

    Args:
        corners: x1 y1 ... x4 y4.

    Example:
        >>> is_crossed((0, 0, 2, 0, 0, 2, 2, 2))  # a bow tie
        True
        >>> is_crossed((0, 0, 2, 0, 2, 2, 0, 2))
        False
    """
    points = list(zip(corners[::2], corners[1::2], strict=True))

    def side(a: int, b: int, c: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = points[a], points[b], points[c]
        return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)

    def cross(a: int, b: int, c: int, d: int) -> bool:
        return side(a, b, c) * side(a, b, d) < 0 and \
            side(c, d, a) * side(c, d, b) < 0

    return cross(0, 1, 2, 3) or cross(1, 2, 3, 0)


def share_inside(corners: Sequence[float], left: float, top: float,
                 right: float, bottom: float) -> float:
    """Share of a convex polygon's area that lies in a rectangle.

    Args:
        corners: x1 y1 x2 y2 ... in order, area above 0.
        left: Sides of the rectangle, in the corners' pixels.
        top: See ``left``.
        right: See ``left``.
        bottom: See ``left``.

    Returns:
        0 to 1.
    """
    # Near the origin, where float32 (all that OpenCV takes) is fine enough.
    polygon = np.asarray(corners, np.float64).reshape(-1, 2) - (left, top)
    hull = cv2.convexHull(polygon.astype(np.float32))
    width, height = right - left, bottom - top
    window = np.array(
        [[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shared, _ = cv2.intersectConvexConvex(hull, window)
    return min(max(shared / cv2.contourArea(hull), 0.0), 1.0)
