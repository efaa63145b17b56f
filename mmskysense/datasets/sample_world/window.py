# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pieces of the sample world: windows on its global pixel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rasterio.transform import Affine

CRS = 'EPSG:32631'
# Upper left corner of the world: farmland east of Paris, in UTM zone 31N.
# The place only makes coordinates plausible; the landscape is invented.
EAST, NORTH = 480000.0, 5400000.0


@dataclass(frozen=True)
class Window:
    """A rectangle on the global pixel grid.

    World coordinates are metres east (x) and south (y) of the world's upper
    left corner, so that they grow with column and row.

    Args:
        column: Global column of the left edge.
        row: Global row of the upper edge.
        width: Columns.
        height: Rows.
        resolution: Pixel size in metres.
    """

    column: int
    row: int
    width: int
    height: int
    resolution: float = 0.5

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def x(self) -> np.ndarray:
        """World x of the pixel centres, (W,) metres."""
        return (np.arange(self.width) + self.column + 0.5) * self.resolution

    @property
    def y(self) -> np.ndarray:
        """World y of the pixel centres, (H,) metres."""
        return (np.arange(self.height) + self.row + 0.5) * self.resolution

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """World x0, y0, x1, y1 in metres."""
        r = self.resolution
        return (self.column * r, self.row * r, (self.column + self.width) * r,
                (self.row + self.height) * r)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in the coordinate reference system."""
        x0, y0, x1, y1 = self.extent
        return EAST + x0, NORTH - y1, EAST + x1, NORTH - y0

    @property
    def transform(self) -> Affine:
        """Affine transform of the window's upper left corner."""
        left, _, _, top = self.bounds
        return Affine(self.resolution, 0, left, 0, -self.resolution, top)

    def pad(self, metres: float) -> Window:
        """The window with a margin on all four sides."""
        n = round(metres / self.resolution)
        return Window(self.column - n, self.row - n, self.width + 2 * n,
                      self.height + 2 * n, self.resolution)

    def coarsen(self, factor: int) -> Window:
        """The same ground at ``factor`` times the pixel size."""
        for name in ('column', 'row', 'width', 'height'):
            if getattr(self, name) % factor:
                raise ValueError(f'window {self}: {name} is not a multiple '
                                 f'of {factor}, cannot coarsen it')
        return Window(self.column // factor, self.row // factor,
                      self.width // factor, self.height // factor,
                      self.resolution * factor)

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """World metres (n, 2) to pixel coordinates (n, 2) x, y.

        Pixel coordinate 0 is the left (upper) edge of the first pixel.
        """
        return points / self.resolution - np.array([self.column, self.row])
