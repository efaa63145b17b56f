# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Weighted blending of overlapping windows in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .grid import GridWindow, Region, WindowGrid


def _hann(size: int) -> np.ndarray:
    # Sampled at pixel centres: positive everywhere, and windows that overlap
    # by half sum to exactly one.
    return np.sin(np.pi * (np.arange(size) + 0.5) / size)**2


def _linear(size: int) -> np.ndarray:
    centres = np.arange(size) + 0.5
    return np.minimum(centres, size - centres) / (size / 2)


BLENDS: dict[str, Callable[[int], np.ndarray]] = {
    'hann': _hann,
    'linear': _linear,
    'mean': np.ones,
}


def blend_weights(kind: str, window: tuple[int, int]) -> np.ndarray:
    """Weight of each pixel of a window, falling towards the window's border.

    Args:
        kind: ``'hann'``, ``'linear'`` or ``'mean'`` (all pixels alike).
        window: Height and width in pixels.

    Returns:
        float32 (height, width), in (0, 1]: never zero, so that the border
        of the raster, which only one window sees, is kept.

    Raises:
        ValueError: Unknown kind.
    """
    if kind not in BLENDS:
        raise ValueError(f"blend='{kind}': expected one of "
                         f'{", ".join(BLENDS)}')
    rows, columns = (BLENDS[kind](size) for size in window)
    return np.outer(rows, columns).astype(np.float32)


@dataclass(frozen=True)
class BlendedRows:
    """Finished rows over the whole width of the region.

    Args:
        row: First row in the raster.
        scores: float32 (C, rows, width), blended; 0 where not ``valid``. A
            view of the blender's memory: use it before the next window.
        valid: bool (rows, width), True where measured.
    """

    row: int
    scores: np.ndarray
    valid: np.ndarray


class StreamingBlender:
    """Blends windows of scores and hands out rows as soon as they are done.

    A pixel's result is the weighted mean of the scores of all windows that
    contain it. Windows come in the order of the grid, so rows above the
    present row of windows are finished. Held at any time: one window height
    of rows, that is (C + 1) * window height * region width float32 and as
    many bool, whatever the raster's height.

    Args:
        grid: Windows of the raster.
        num_channels: Channels C of the scores.
        blend: Kind of weights, see :func:`blend_weights`.
        region: What is wanted; the windows that are given must be those of
            ``grid.touching(region)``. None means the whole raster.

    Example:
        >>> import numpy as np
        >>> grid = WindowGrid(5, 4, window=(4, 4), overlap=(2, 2))
        >>> blender = StreamingBlender(grid, num_channels=1)
        >>> valid = np.ones((4, 4), dtype=bool)
        >>> for window in grid:
        ...     for rows in blender.add(window, np.ones((1, 4, 4)), valid):
        ...         print(rows.row, rows.scores.shape)
        0 (1, 1, 4)
        >>> [rows.row for rows in blender.finish()]
        [1]
    """

    def __init__(self,
                 grid: WindowGrid,
                 num_channels: int,
                 blend: str = 'hann',
                 region: Region | None = None) -> None:
        self.grid = grid
        self.region = region or grid.whole
        self.weights = blend_weights(blend, grid.window)
        rows = min(grid.window[0], grid.height)
        width = self.region.right - self.region.left
        self._scores = np.zeros((num_channels, rows, width), np.float32)
        self._sum_of_weights = np.zeros((rows, width), np.float32)
        self._valid = np.zeros((rows, width), dtype=bool)
        # Row of the raster at the first row of the buffers.
        self._top = grid.touching(self.region).rows[0]

    @staticmethod
    def memory(grid: WindowGrid, num_channels: int) -> int:
        """Bytes that blending the whole width would hold."""
        rows = min(grid.window[0], grid.height)
        return rows * grid.width * (4 * (num_channels + 1) + 1)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes; constant over the run."""
        return (self._scores.nbytes + self._sum_of_weights.nbytes +
                self._valid.nbytes)

    def add(self, window: GridWindow, scores: np.ndarray | None,
            valid: np.ndarray) -> Iterator[BlendedRows]:
        """Blend one window in; yields rows that no later window touches.

        A generator: iterate over it even if the rows are not wanted.

        Args:
            window: The grid's next window.
            scores: (C, height, width) of the window, or None for a window
                that was skipped because nothing in it was measured.
            valid: bool (height, width), True where measured.

        Raises:
            ValueError: The window lies above an earlier one, or was skipped
                although it holds measured pixels.
        """
        if window.row < self._top:
            raise ValueError(
                f'window at row {window.row} came after row {self._top} was '
                'finished; add windows in the order of the grid')
        if window.row > self._top:
            yield from self._emit(window.row - self._top)
            self._advance(window.row - self._top)
        region = self.region
        height = min(window.height, self.grid.height - window.row)
        left = max(window.column, region.left)
        right = min(window.column + window.width, region.right)
        # The window's columns inside the region, in both.
        own = slice(left - window.column, right - window.column)
        columns = slice(left - region.left, right - region.left)
        valid = valid[:height, own]
        if scores is None:
            if valid.any():
                raise ValueError(f'window {window.as_tuple()} holds measured '
                                 'pixels but came without scores')
            return
        weights = self.weights[:height, own]
        self._scores[:, :height, columns] += scores[:, :height, own] * weights
        self._sum_of_weights[:height, columns] += weights
        self._valid[:height, columns] |= valid

    def finish(self) -> Iterator[BlendedRows]:
        """Yield the remaining rows, after the last window."""
        remaining = self.region.bottom - self._top
        if remaining > 0:
            yield from self._emit(min(remaining, len(self._valid)))
            self._top = self.region.bottom

    def _emit(self, rows: int) -> Iterator[BlendedRows]:
        """Normalise the first rows of the buffers in place."""
        # Windows of the first row reach above the region.
        first = max(self.region.top - self._top, 0)
        rows = min(rows, self.region.bottom - self._top)
        if first >= rows:
            return
        valid = self._valid[first:rows]
        scores = self._scores[:, first:rows]
        total = self._sum_of_weights[first:rows]
        np.divide(scores, total, out=scores, where=valid[None])
        scores *= valid
        yield BlendedRows(self._top + first, scores, valid)

    def _advance(self, rows: int) -> None:
        """Drop finished rows and make room for as many below."""
        for buffer in (self._scores, self._sum_of_weights, self._valid):
            kept = buffer.shape[-2] - rows
            # Row by row: the two areas overlap and a whole-array assignment
            # would make NumPy copy the buffer.
            for row in range(kept):
                buffer[..., row, :] = buffer[..., row + rows, :]
            buffer[..., max(kept, 0):, :] = 0
        self._top += rows
