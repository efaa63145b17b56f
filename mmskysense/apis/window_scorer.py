# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Scores of windows, with or without flipped views of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmskysense.raster.inputs import SeriesPicture

from .segmentor import WindowSegmentor

# Axes of (..., H, W) that are turned round in each view.
_VIEWS: tuple[tuple[int, ...], ...] = ((), (-1, ), (-2, ), (-2, -1))


class WindowScorer:
    """What a map blends: logits of a segmentor, and their disagreement.

    Args:
        segmentor: The model.
        flips: Score each window in its four flipped views, and give the mean
            of the logits. That is four times the work.
        variance: With ``flips``, one more channel: variance of the class
            probabilities over the views, summed over classes, as a share of
            the largest possible.

    Raises:
        ValueError: A variance without flips.
    """

    def __init__(self, segmentor: WindowSegmentor, flips: bool = False,
                 variance: bool = False) -> None:
        if variance and not flips:
            raise ValueError('the variance over flipped views needs them: '
                             'turn test-time augmentation on, or choose '
                             'entropy')
        self.segmentor = segmentor
        self.flips, self.variance = flips, variance

    @property
    def num_channels(self) -> int:
        """Channels of the scores."""
        return self.segmentor.num_channels + self.variance

    def __call__(self, images: Sequence[Any],
                 valid: Sequence[np.ndarray]) -> np.ndarray:
        """Score windows of one size.

        Args:
            images: N of what the segmentor takes.
            valid: N of bool (H, W).

        Returns:
            float32 (N, num_channels, H, W).
        """
        if not self.flips:
            return self.segmentor(images, valid)
        views = np.stack([
            _turned(self.segmentor([_turned(x, axes) for x in images],
                                   [_turned(x, axes) for x in valid]), axes)
            for axes in _VIEWS])
        scores = views.mean(axis=0)
        if not self.variance:
            return scores
        soft = np.stack([[self.segmentor.probabilities(window)
                          for window in view] for view in views])
        most = 1 - 1 / min(len(_VIEWS), soft.shape[2])
        spread = soft.var(axis=0).sum(axis=1, keepdims=True) / most
        return np.concatenate([scores, spread.clip(0, 1)], axis=1)


def _turned(x: Any, axes: tuple[int, ...]) -> Any:
    if isinstance(x, SeriesPicture):
        return x.flipped(axes)
    return np.ascontiguousarray(np.flip(x, axes)) if axes else x
