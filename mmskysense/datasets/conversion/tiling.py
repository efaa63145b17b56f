# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Cut large scenes into overlapping tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmskysense.raster.grid import GridWindow, WindowGrid


@dataclass(frozen=True)
class TilePlan:
    """Size and overlap of the tiles.

    Args:
        size: Height and width of a tile in pixels.
        overlap: Pixels that neighbours share, 0 to ``size - 1``.

    Raises:
        ValueError: Out of range.
    """

    size: int
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f'tile size {self.size}: expected at least 1 '
                             'pixel')
        if not 0 <= self.overlap < self.size:
            raise ValueError(f'overlap {self.overlap}: expected 0 to '
                             f'{self.size - 1} pixels for tiles of '
                             f'{self.size}')

    def windows(self, height: int, width: int) -> Iterator[GridWindow]:
        """Windows that cover a scene; the last ones are shifted inwards.

        A side shorter than a tile has one window, which ends with the scene:
        nothing is padded (the models pad where they must).
        """
        window = (min(self.size, height), min(self.size, width))
        overlap = (min(self.overlap, window[0] - 1),
                   min(self.overlap, window[1] - 1))
        yield from WindowGrid(height, width, window, overlap)


def tile_name(stem: str, window: GridWindow) -> str:
    """Name of a tile: ``P0003_0_896_512_1408`` (top bottom left right)."""
    return (f'{stem}_{window.row}_{window.row + window.height}_'
            f'{window.column}_{window.column + window.width}')


def cut(image: np.ndarray, window: GridWindow) -> np.ndarray:
    """The part of (..., H, W) in a window, as a contiguous array."""
    return np.ascontiguousarray(
        image[..., window.row:window.row + window.height,
              window.column:window.column + window.width])


def check_same_size(shape: Sequence[int], other: Sequence[int], file: str,
                    other_file: str) -> None:
    """Refuse an image and a label of different size.

    Raises:
        ValueError: Names both files and sizes.
    """
    if tuple(shape) != tuple(other):
        raise ValueError(
            f'{other_file}: expected the size of {file} {tuple(shape)}, '
            f'found {tuple(other)}; the pair is damaged or mixed up')


def cut_unseen(label: np.ndarray, window: GridWindow, seen: np.ndarray,
               ignored: int) -> np.ndarray:
    """The label in a window, ignored where an earlier window has shown it.

    Tiles overlap, and the last ones of a row or column reach back into
    others: a metric shall count every pixel of a scene once.

    Args:
        label: (H, W) class ids.
        window: To cut.
        seen: bool (H, W), what was shown; changed in place.
        ignored: Value of ignored pixels.

    Example:
        >>> seen = np.zeros((1, 4), bool)
        >>> label = np.array([[1, 2, 3, 4]])
        >>> for column in (0, 1):
        ...     print(cut_unseen(label, GridWindow(0, column, 1, 3), seen, 9))
        [[1 2 3]]
        [[9 9 4]]
    """
    part = np.where(cut(seen, window), ignored, cut(label, window))
    seen[window.row:window.row + window.height,
         window.column:window.column + window.width] = True
    return part.astype(label.dtype)
