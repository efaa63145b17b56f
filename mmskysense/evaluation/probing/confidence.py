# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Confidence intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Resampled values held at once, in elements.
_CHUNK_ELEMENTS = 1 << 23


def bootstrap_interval(
        values: np.ndarray,
        level: float = 0.95,
        resamples: int = 10_000,
        seed: int = 0,
        statistic: Callable[[np.ndarray], np.ndarray] | None = None
) -> tuple[float, float]:
    """Percentile interval of a statistic of independent samples.

    It tells how much the figure would vary with other test images, not how
    much with another training run.

    Args:
        values: (N, ...), one entry for each test image: right (1) or wrong
            (0) for the accuracy.
        level: Of the interval, between 0 and 1.
        resamples: Draws of N entries with replacement.
        seed: Of the draws.
        statistic: From resampled values (R, N, ...) to (R,); the mean over
            all but the first axis by default.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: No values, or level or resamples out of range.
    """
    values = np.asarray(values)
    if not len(values):
        raise ValueError('a confidence interval needs at least one value')
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f'level={level}, resamples={resamples}: expected a '
                         'level between 0 and 1 and at least 1 resample')
    random = np.random.default_rng(seed)
    at_once = max(_CHUNK_ELEMENTS // values.size, 1)
    found = []
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = values[random.integers(0, len(values), (count, len(values)))]
        if statistic is None:
            found.append(drawn.reshape(count, -1).mean(1))
        else:
            found.append(statistic(drawn))
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(found), (tail, 1 - tail))
    return float(low), float(high)
