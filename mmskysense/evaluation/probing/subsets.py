# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Stratified subsets of a labelled set, for few-shot evaluation."""

from __future__ import annotations

import numpy as np


def stratified_subset(labels: np.ndarray,
                      fraction: float,
                      seed: int = 0) -> np.ndarray:
    """Draw the same share of every class.

    Of a class with n samples, fraction * n are drawn, rounded half up, but
    at least one. With equal seeds a smaller subset is part of a larger.

    Args:
        labels: Integers (N,).
        fraction: Above 0, at most 1.
        seed: Of the draw.

    Returns:
        int64 (M,), indices of the samples in ascending order.

    Raises:
        ValueError: No labels, or a fraction out of range.
    """
    labels = np.asarray(labels)
    if not 0 < fraction <= 1:
        raise ValueError(f'fraction={fraction}: expected above 0, at most 1')
    if labels.ndim != 1 or not len(labels):
        raise ValueError('stratified_subset needs labels (N,) of at least '
                         f'one sample, found shape {labels.shape}')
    random = np.random.default_rng(seed)
    chosen = []
    for name in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == name))
        # Against 0.1 * 35 = 3.5000000000000004 and its kind.
        count = int(np.floor(round(fraction * len(members), 9) + 0.5))
        chosen.append(members[:max(count, 1)])
    return np.sort(np.concatenate(chosen))
