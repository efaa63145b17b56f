# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Windows that cover a raster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload


@dataclass(frozen=True)
class GridWindow:
    """A rectangle of pixels, which may reach beyond a small raster.

    Args:
        row: First row, 0 is the raster's top.
        column: First column, 0 is the raster's left.
        height: Rows, in pixels.
        width: Columns, in pixels.
    """

    row: int
    column: int
    height: int
    width: int

    def as_tuple(self) -> tuple[int, int, int, int]:
        """``(row, column, height, width)``, as ``RasterReader.read`` asks."""
        return self.row, self.column, self.height, self.width


@dataclass(frozen=True)
class Region:
    """A rectangle of the raster's pixels.

    Args:
        top: First row.
        bottom: Row behind the last.
        left: First column.
        right: Column behind the last.
    """

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class WindowSequence(Sequence[GridWindow]):
    """Windows row by row, by number.

    Args:
        rows: First row of each row of windows.
        columns: First column of each column of windows.
        window: Height and width of every window in pixels.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    window: tuple[int, int]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @overload
    def __getitem__(self, index: int) -> GridWindow:
        ...

    @overload
    def __getitem__(self, index: slice) -> list[GridWindow]:
        ...

    def __getitem__(self, index: int | slice
                    ) -> GridWindow | list[GridWindow]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f'window {index} of {len(self)}')
        row, column = divmod(index % len(self), len(self.columns))
        return GridWindow(self.rows[row], self.columns[column], *self.window)

    def first_reaching(self, row: int) -> int:
        """Number of the first window that holds this row or one below."""
        return len(self.columns) * sum(
            top + self.window[0] <= row for top in self.rows)


def _cuts(offsets: Sequence[int], length: int, parts: int) -> list[int]:
    """Borders of parts of similar size, at offsets of windows."""
    if parts < 1:
        raise ValueError(f'expected at least 1 part, found {parts}')
    parts = min(parts, len(offsets))
    inner = {offsets[len(offsets) * n // parts] for n in range(1, parts)}
    return sorted({0, *inner, length})


def window_offsets(length: int, window: int, overlap: int) -> tuple[int, ...]:
    """First pixels of the windows along one side.

    Windows advance by ``window - overlap``; the last one is shifted inwards
    to end with the raster, so it may overlap more than the others. A side
    shorter than the window has one window that starts at 0 and reaches
    beyond it.

    Args:
        length: Pixels of the raster along this side, at least 1.
        window: Pixels of a window along this side, at least 1.
        overlap: Pixels shared by neighbours, 0 to ``window - 1``.

    Returns:
        Strictly increasing offsets that start with 0.

    Raises:
        ValueError: An argument is out of its range.
    """
    if length < 1 or window < 1:
        raise ValueError(f'expected a raster and a window of at least 1 pixel,'
                         f' found {length} and {window}')
    if not 0 <= overlap < window:
        raise ValueError(f'overlap={overlap}: expected 0 to {window - 1} '
                         f'pixels for windows of {window}')
    if length <= window:
        return (0, )
    last = length - window
    return (*range(0, last, window - overlap), last)


@dataclass(frozen=True)
class WindowGrid:
    """All windows of one raster, row of windows by row of windows.

    The order is what lets :class:`StreamingBlender` write finished rows
    early: no window starts above the one before it.

    Args:
        height: Raster height in pixels.
        width: Raster width in pixels.
        window: Height and width of every window in pixels.
        overlap: Rows and columns shared by neighbours, in pixels.

    Raises:
        ValueError: A size below 1, or an overlap outside 0..window - 1.

    Example:
        >>> grid = WindowGrid(100, 60, window=(64, 64), overlap=(32, 32))
        >>> [window.as_tuple() for window in grid]
        [(0, 0, 64, 64), (32, 0, 64, 64), (36, 0, 64, 64)]
    """

    height: int
    width: int
    window: tuple[int, int]
    overlap: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        # Both sides are computed once here, so that errors come early.
        _ = self.rows, self.columns

    @property
    def rows(self) -> tuple[int, ...]:
        """First row of each row of windows."""
        return window_offsets(self.height, self.window[0], self.overlap[0])

    @property
    def columns(self) -> tuple[int, ...]:
        """First column of each column of windows."""
        return window_offsets(self.width, self.window[1], self.overlap[1])

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[GridWindow]:
        return iter(self.touching(self.whole))

    @property
    def whole(self) -> Region:
        """All pixels of the raster."""
        return Region(0, self.height, 0, self.width)

    def touching(self, region: Region) -> WindowSequence:
        """The windows that share a pixel with a region, in order."""

        def near(offsets: tuple[int, ...], window: int, start: int,
                 stop: int) -> tuple[int, ...]:
            return tuple(o for o in offsets if o + window > start and o < stop)

        return WindowSequence(
            near(self.rows, self.window[0], region.top, region.bottom),
            near(self.columns, self.window[1], region.left, region.right),
            self.window)

    def regions(self, bands: int = 1, strips: int = 1) -> list[Region]:
        """Cut the raster into parts that can be made independently.

        Cuts lie on rows and columns at which a window starts, so that few
        windows belong to two parts.

        Args:
            bands: Parts along the height, at most as many as rows of
                windows.
            strips: Parts along the width, likewise.

        Returns:
            Non-empty regions that cover each pixel once, band by band.
        """
        vertical = _cuts(self.rows, self.height, bands)
        horizontal = _cuts(self.columns, self.width, strips)
        return [
            Region(top, bottom, left, right)
            for top, bottom in pairwise(vertical)
            for left, right in pairwise(horizontal)
        ]
