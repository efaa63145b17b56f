# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Linear probe: logistic regression on frozen features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmskysense.utils import require

from .standardise import mean_and_deviation
from .subsets import stratified_subset

# Inverse strengths of regularisation that are tried (ours).
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_DEFAULT_STRENGTH = 1e-2
_VALIDATION = 0.2


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear classifier of raw (not standardised) features.

    Args:
        weight: float64 (K, D), the standardisation folded in.
        bias: float64 (K,).
        classes: int64 (K,), class id of each row.
        strength: Inverse strength of regularisation C that was used.
        validation_top1: Accuracy on the validation part with that C, 0 to
            1; None where nothing was held out.
    """

    weight: np.ndarray
    bias: np.ndarray
    classes: np.ndarray
    strength: float
    validation_top1: float | None = None

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Class ids int64 (N,) of features (N, D)."""
        return self.classes[(features @ self.weight.T + self.bias).argmax(1)]


def linear_probe(train: np.ndarray,
                 labels: np.ndarray,
                 held_out: np.ndarray | None = None,
                 strengths: Sequence[float] = STRENGTHS,
                 max_iter: int = 300,
                 seed: int = 0) -> LinearProbe:
    """Fit a multinomial logistic regression.

    Features are standardised with the training set's mean and deviation. C
    is chosen on a part of the TRAINING data, then the model is fitted to all
    of it: a test set chooses nothing. If a class has fewer than two samples
    there is no part to hold out; C is then 0.01, with a warning.

    Args:
        train: float (M, D).
        labels: int64 (M,).
        held_out: Indices of the samples that choose C; a stratified fifth by
            default.
        strengths: Values of C to choose from; a single one is taken as is.
        max_iter: Of L-BFGS.
        seed: Of the stratified fifth.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: Fewer than two classes, shapes that do not fit, or
            features that are not finite.
    """
    require('sklearn', 'the linear probe')
    if train.ndim != 2 or len(train) != len(labels):
        raise ValueError('the linear probe needs features (M, D) and labels '
                         f'(M,), found {train.shape} and {labels.shape}')
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError('the linear probe needs at least two classes in the '
                         f'training set, found {len(classes)}')
    if not np.isfinite(train).all():
        raise ValueError('a training feature is not finite: the encoder has '
                         'diverged, or its input holds NaN')
    if len(strengths) == 1:
        return _fit(train, labels, strengths[0], max_iter)
    if held_out is None and counts.min() < 2:
        warnings.warn(
            f'class {classes[counts.argmin()]} has one training sample, none '
            f'to validate on: C={_DEFAULT_STRENGTH} is taken', stacklevel=2)
        return _fit(train, labels, _DEFAULT_STRENGTH, max_iter)
    if held_out is None:
        held_out = stratified_subset(labels, _VALIDATION, seed)
    rest = np.setdiff1d(np.arange(len(labels)), held_out)
    if len(np.unique(labels[rest])) < 2 or not len(held_out):
        return _fit(train, labels, _DEFAULT_STRENGTH, max_iter)
    found = [
        float((_fit(train[rest], labels[rest], strength, max_iter).predict(
            train[held_out]) == labels[held_out]).mean())
        for strength in strengths
    ]
    # The strongest regularisation among equals.
    best = int(np.argmax(found))
    model = _fit(train, labels, strengths[best], max_iter)
    return LinearProbe(model.weight, model.bias, model.classes,
                       strengths[best], found[best])


def _fit(features: np.ndarray, labels: np.ndarray, strength: float,
         max_iter: int) -> LinearProbe:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, deviation = mean_and_deviation(features)
    model = LogisticRegression(C=strength, max_iter=max_iter)
    with warnings.catch_warnings():
        # With little regularisation L-BFGS stops early; validation judges
        # what came out.
        warnings.simplefilter('ignore', ConvergenceWarning)
        # In the features' own precision: float32 is twice as fast.
        model.fit(((features - mean) / deviation).astype(features.dtype),
                  labels)
    weight = model.coef_.astype(np.float64)
    bias = model.intercept_.astype(np.float64)
    if len(model.classes_) == 2:
        # One row, for the second class against the first.
        weight = np.concatenate([np.zeros_like(weight), weight])
        bias = np.concatenate([np.zeros_like(bias), bias])
    weight = weight / deviation
    return LinearProbe(weight, bias - weight @ mean, model.classes_, strength)
