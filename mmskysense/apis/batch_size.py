# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How many windows at once: measured, not guessed."""

from __future__ import annotations

import time

import numpy as np
import torch

from .window_scorer import WindowScorer

#: Tried in this order; a larger one is kept for a gain of this share (ours).
CANDIDATES = (1, 2, 4, 8, 16, 32, 64)
_GAIN = 0.05


def fitting_batch_size(scorer: WindowScorer, bands: int,
                       window: tuple[int, int], windows: int) -> int:
    """The smallest batch size that is about as fast as any larger one.

    Times batches of empty pictures, growing until one is hardly faster than
    the one before, or the memory of the device is full.

    Args:
        scorer: The model.
        bands: Bands of a window.
        window: Height and width of a window in pixels.
        windows: Windows of the map: no larger batch is of use.

    Returns:
        Windows at once, at least 1.

    Raises:
        torch.OutOfMemoryError: Even one window is too much.
    """
    best, fastest = 1, 0.0
    picture = np.zeros((bands, *window), np.float32)
    seen = np.ones(window, dtype=bool)
    for size in CANDIDATES:
        if size > max(windows, 1):
            break
        try:
            # The first call of a size plans its kernels.
            scorer([picture] * size, [seen] * size)
            start = time.perf_counter()
            scorer([picture] * size, [seen] * size)
            speed = size / max(time.perf_counter() - start, 1e-9)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            torch.cuda.empty_cache()
            break
        if speed < fastest * (1 + _GAIN):
            break
        best, fastest = size, speed
    return best
