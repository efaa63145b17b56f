# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Probing a set whose images have several classes: mean average precision."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmskysense.utils import require

from .confidence import bootstrap_interval
from .image_sets import LabelledImages
from .linear import STRENGTHS
from .neighbours import nearest_neighbour_scores
from .probe import (
    EncoderMaker,
    ProbeOptions,
    common_record,
    features_by_seed,
    joined,
    standardised_tensors,
)
from .standardise import standardised

_VALIDATION = 0.2
# Each resample sorts the scores of every class.
_RESAMPLES = 200


def mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean of the classes' average precision (macro mAP).

    Args:
        scores: float (N, K).
        truth: 0 or 1, (N, K).

    Returns:
        0 to 1; classes without a positive image are left out.

    Raises:
        ValueError: No class has a positive image.
    """
    require('sklearn', 'average precision')
    from sklearn.metrics import average_precision_score

    present = truth.any(0)
    if not present.any():
        raise ValueError('average precision needs an image with a class, '
                         f'found {len(truth)} images without one')
    return float(np.mean([
        average_precision_score(truth[:, k], scores[:, k])
        for k in np.flatnonzero(present)
    ]))


def micro_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Average precision of all pairs of an image and a class together."""
    require('sklearn', 'average precision')
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth.ravel(), scores.ravel()))


def linear_scores(train: np.ndarray, labels: np.ndarray, test: np.ndarray,
                  strengths: Sequence[float] = STRENGTHS, seed: int = 0
                  ) -> tuple[np.ndarray, dict[str, Any]]:
    """Scores of one logistic regression a class.

    C is the same for all classes and chosen by mAP on a fifth of the
    TRAINING data, as in :func:`linear_probe`.

    Args:
        train: float (M, D).
        labels: 0 or 1, (M, K).
        test: float (N, D).
        strengths: Values of C to choose from; a single one is taken as is.
        seed: Of the fifth.

    Returns:
        Probabilities (N, K), the share of training images for a class that
        all or none of them have; and ``strength``, ``validation_map`` (None
        where nothing was held out).
    """
    require('sklearn', 'the linear probe')
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise ValueError('a feature is not finite: the encoder has diverged, '
                         'or its input holds NaN')
    order = np.random.default_rng(seed).permutation(len(train))
    count = int(_VALIDATION * len(train))
    held_out, rest = order[:count], order[count:]
    found: list[float] = []
    if len(strengths) > 1 and count and labels[held_out].any():
        found = [mean_average_precision(
            _fitted_scores(train[rest], labels[rest], train[held_out],
                           strength), labels[held_out])
            for strength in strengths]
    best = int(np.argmax(found)) if found else len(strengths) // 2
    return _fitted_scores(train, labels, test, strengths[best]), dict(
        strength=strengths[best],
        validation_map=found[best] if found else None)


def _fitted_scores(train: np.ndarray, labels: np.ndarray, test: np.ndarray,
                   strength: float) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    train, test = standardised(train, test)
    scores = np.tile(labels.mean(0), (len(test), 1))
    for k in range(labels.shape[1]):
        if 0 < labels[:, k].sum() < len(labels):
            model = LogisticRegression(C=strength, max_iter=200)
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', ConvergenceWarning)
                model.fit(train, labels[:, k])
            scores[:, k] = model.predict_proba(test)[:, 1]
    return scores


def random_subset(count: int, fraction: float, seed: int) -> np.ndarray:
    """A share of the images, whatever their classes; at least one.

    Returns:
        int64 (M,) in ascending order; with equal seeds a smaller subset is
        part of a larger.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f'fraction={fraction}: expected above 0, at most 1')
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[:max(1, round(fraction * count))])


def probe_multi_label(make_encoder: EncoderMaker,
                      train: LabelledImages,
                      test: LabelledImages,
                      options: ProbeOptions,
                      seeds: Sequence[int] = (0, ),
                      same_weights: bool = False) -> dict[str, Any]:
    """Probe an encoder on images with several classes.

    k-NN: the neighbours' weighted share of each class; linear: one logistic
    regression a class. Arguments as of :func:`probe_images`, but labels are
    (N, K) of 0 and 1.

    Returns:
        For JSON: ``map`` (macro) and ``micro_map``, 0 to 1, means over
        seeds, with ``ci95`` and ``micro_ci95`` (bootstrap over test images,
        200 resamples); else as :func:`probe_images`, without ``each``.

    Raises:
        ValueError: ``options.each``, or an image in both sets.
    """
    if options.each:
        raise ValueError('each: a set with several labels is judged with all '
                         'features together; leave it out')
    start = time.perf_counter()
    by_seed, per_seed = [], []
    for seed, features in features_by_seed(
            make_encoder, train, test, options, seeds, same_weights):
        chosen = random_subset(len(train), options.fraction, seed)
        scores, choice = _scores(
            joined(features['training'])[chosen], train.labels[chosen],
            joined(features['test']), options, seed)
        by_seed.append(scores)
        per_seed.append(dict(
            seed=seed, map=mean_average_precision(scores, test.labels),
            micro_map=micro_average_precision(scores, test.labels),
            n_train=len(chosen), **choice))

    def over_seeds(judge: Any) -> list[float]:
        def statistic(drawn: np.ndarray) -> np.ndarray:
            return np.array([
                np.mean([judge(scores[index], test.labels[index])
                         for scores in by_seed]) for index in drawn])
        return list(bootstrap_interval(
            np.arange(len(test)), resamples=_RESAMPLES, statistic=statistic))

    result = dict(
        map=float(np.mean([found['map'] for found in per_seed])),
        ci95=over_seeds(mean_average_precision),
        micro_map=float(np.mean([found['micro_map'] for found in per_seed])),
        micro_ci95=over_seeds(micro_average_precision),
        **common_record(features, test, options, per_seed))
    result['seconds'] = round(time.perf_counter() - start, 2)
    return result


def _scores(train: Tensor, labels: np.ndarray, test: Tensor,
            options: ProbeOptions, seed: int
            ) -> tuple[np.ndarray, dict[str, Any]]:
    """Scores (N, K) of test images, and what the probe has chosen."""
    if options.method == 'linear':
        return linear_scores(train.numpy(), labels, test.numpy(), seed=seed)
    if options.standardise:
        train, test = standardised_tensors(train, test)
    votes = nearest_neighbour_scores(
        train, torch.from_numpy(labels), test, labels.shape[1], options.k,
        options.temperature, shares=True)
    return votes.numpy(), dict(
        k=min(options.k, len(train)), temperature=options.temperature)
