# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Windows with a picture, in batches, for models that need no blending."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmskysense.raster import GridWindow, WindowSource, read_ahead


@dataclass(frozen=True)
class Picture:
    """A window in which something was measured.

    Args:
        number: Of the window in its sequence.
        place: Where it lies.
        image: float32 (C, height, width) in file units.
        valid: bool (height, width).
    """

    number: int
    place: GridWindow
    image: np.ndarray
    valid: np.ndarray


def image_batches(source: WindowSource, batch_size: int,
                  reading_threads: int = 1,
                  tell: Callable[[int], object] = lambda count: None
                  ) -> Iterator[Sequence[Picture]]:
    """Windows in order; those without a measured pixel are left out.

    Args:
        source: Windows by number.
        batch_size: Pictures at once, at least 1.
        reading_threads: Threads that read ahead.
        tell: Called with the number of windows that are done.

    Raises:
        ValueError: ``batch_size`` below 1.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size={batch_size}: expected 1 or more')
    waiting: list[Picture] = []
    seen = 0
    windows = read_ahead(source, 0, 2 * batch_size + 2, reading_threads)
    for number, window in enumerate(windows):
        seen += 1
        if window.image is not None:
            waiting.append(Picture(number, window.place, window.image,
                                   window.valid))
        if len(waiting) == batch_size:
            yield waiting
            tell(seen)
            waiting, seen = [], 0
    if waiting:
        yield waiting
    tell(seen)
