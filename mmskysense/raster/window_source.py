# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The windows of a grid, read in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .grid import GridWindow, WindowGrid
from .reader import RasterReader


@dataclass(frozen=True)
class SourceWindow:
    """A window that was read.

    Args:
        place: Where it lies.
        image: float32 (C, height, width) in file units, or None if nothing
            in it was measured.
        valid: bool (height, width), True where measured.
    """

    place: GridWindow
    image: np.ndarray | None
    valid: np.ndarray


class WindowSource:
    """Iterates over the windows of a raster.

    Args:
        reader: The raster.
        grid: Its windows.
        fill: Value per band of pixels that were not measured, or beyond the
            raster; empty means 0.
        reverse_channels: Give the bands in reverse order.

    Attributes:
        skipped: Windows so far without a measured pixel.
    """

    def __init__(self,
                 reader: RasterReader,
                 grid: WindowGrid,
                 fill: Sequence[float] = (),
                 reverse_channels: bool = False) -> None:
        self.reader, self.grid = reader, grid
        self.fill = tuple(fill) or (0.0, ) * len(reader.indexes)
        self.reverse_channels = reverse_channels
        self.skipped = 0

    def __len__(self) -> int:
        return len(self.grid)

    def __iter__(self) -> Iterator[SourceWindow]:
        for place in self.grid:
            image, valid = self.reader.read(place.as_tuple())
            if not valid.any():
                self.skipped += 1
                yield SourceWindow(place, None, valid)
                continue
            if not valid.all():
                for band, value in zip(image, self.fill, strict=True):
                    band[~valid] = value
            if self.reverse_channels:
                image = np.ascontiguousarray(image[::-1])
            yield SourceWindow(place, image, valid)
