# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Linear probe: logistic regression on frozen features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from mmskysense.utils import require

from .subsets import stratified_subset

# Inverse strengths of regularisation that are tried (ours).
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_DEFAULT_STRENGTH = 1e-2
_VALIDATION = 0.2


@dataclass(frozen=True)
class LinearProbe:
    """What a linear probe found.

    Args:
        predictions: int64 (N,) of the test features.
        strength: Inverse strength of regularisation C that was used.
        validation_top1: Accuracy on the validation part with that C, 0 to
            1; None where the training set was too small to hold one out.
    """

    predictions: np.ndarray
    strength: float
    validation_top1: float | None


def linear_probe(train: np.ndarray,
                 labels: np.ndarray,
                 test: np.ndarray,
                 strengths: tuple[float, ...] = STRENGTHS,
                 max_iter: int = 300,
                 seed: int = 0) -> LinearProbe:
    """Fit a multinomial logistic regression and predict.

    Features are standardised with the training set's mean and deviation. C
    is chosen on a stratified fifth of the TRAINING data, then the model is
    fitted to all of it: the test set chooses nothing. A training set with
    a class of fewer than two samples has no fifth to hold out; C is then
    0.01, with a warning.

    Args:
        train: float (M, D).
        labels: int64 (M,).
        test: float (N, D).
        strengths: Values of C to choose from; a single one is taken as is.
        max_iter: Of L-BFGS.
        seed: Of the validation part.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: Fewer than two classes, or features that are not finite.
    """
    require('sklearn', 'the linear probe')
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError('the linear probe needs at least two classes in the '
                         f'training set, found {len(classes)}')
    for what, features in (('training', train), ('test', test)):
        if not np.isfinite(features).all():
            raise ValueError(f'a {what} feature is not finite: the encoder '
                             'has diverged, or its input holds NaN')

    def fit(x: np.ndarray, y: np.ndarray, strength: float,
            other: np.ndarray) -> np.ndarray:
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(C=strength, max_iter=max_iter)
        with warnings.catch_warnings():
            # With a weak regularisation L-BFGS stops early; validation
            # judges what came out.
            warnings.simplefilter('ignore', ConvergenceWarning)
            model.fit(scaler.transform(x), y)
        return model.predict(scaler.transform(other))

    best, accuracy = strengths[0], None
    if len(strengths) > 1 and counts.min() < 2:
        best = _DEFAULT_STRENGTH
        warnings.warn(
            f'class {classes[counts.argmin()]} has {counts.min()} training '
            f'sample, none to validate on: C={best} is taken', stacklevel=2)
    elif len(strengths) > 1:
        held = stratified_subset(labels, _VALIDATION, seed)
        rest = np.setdiff1d(np.arange(len(labels)), held)
        found = [
            float((fit(train[rest], labels[rest], strength, train[held]) ==
                   labels[held]).mean()) for strength in strengths
        ]
        # The strongest regularisation among equals.
        best = strengths[int(np.argmax(found))]
        accuracy = max(found)
    return LinearProbe(fit(train, labels, best, test), best, accuracy)
