# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Features brought to mean 0 and deviation 1, by the training set."""

from __future__ import annotations

import numpy as np

# A feature that varies less than this says nothing; it is only centred.
_CONSTANT = 1e-12


def mean_and_deviation(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each feature of the training set.

    Args:
        train: float (M, D).

    Returns:
        float64 (D,) each; the deviation of a constant feature is 1.
    """
    deviation = train.std(0, dtype=np.float64)
    deviation[deviation < _CONSTANT] = 1.0
    return train.mean(0, dtype=np.float64), deviation


def standardised(train: np.ndarray, *others: np.ndarray
                 ) -> tuple[np.ndarray, ...]:
    """All sets, (x - mean) / deviation of the training set.

    Args:
        train: float (M, D).
        others: float (N, D), which change neither mean nor deviation.

    Returns:
        As many arrays, in the precision of ``train``.
    """
    mean, deviation = mean_and_deviation(train)
    return tuple(((part - mean) / deviation).astype(train.dtype)
                 for part in (train, *others))
