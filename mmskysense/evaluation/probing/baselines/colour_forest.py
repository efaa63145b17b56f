# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Random forest on colour statistics: no network at all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.utils import require

from ..image_sets import ImageBatches, LabelledImages, check_split
from ..probe import summarise
from ..subsets import stratified_subset

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def colour_statistics(images: Tensor) -> Tensor:
    """Numbers that know nothing of where in an image a colour is.

    Args:
        images: (N, C, H, W).

    Returns:
        float32 (N, D): for each band mean, deviation and five quantiles, and
        the correlations of bands.
    """
    pixels = images.float().flatten(2)
    quantiles = torch.quantile(
        pixels, torch.tensor(_QUANTILES, device=images.device), dim=2)
    centred = pixels - pixels.mean(2, keepdim=True)
    unit = centred / centred.norm(dim=2, keepdim=True).clamp(min=1e-6)
    correlation = unit @ unit.transpose(1, 2)
    rows, columns = torch.triu_indices(*correlation.shape[1:], offset=1)
    return torch.cat([
        pixels.mean(2), pixels.std(2), quantiles.permute(1, 0, 2).flatten(1),
        correlation[:, rows, columns]
    ], dim=1)


def colour_forest(train: LabelledImages,
                  test: LabelledImages,
                  fraction: float = 1.0,
                  seeds: Sequence[int] = (0, ),
                  trees: int = 300,
                  sensor: str = 'hr_rgb') -> dict[str, Any]:
    """Classify images by a random forest on :func:`colour_statistics`.

    Args:
        train: Labelled images.
        test: Images that are classified.
        fraction: Share of the training labels, drawn by class.
        seeds: Of the subset and the forest.
        trees: In the forest.
        sensor: Of the images.

    Returns:
        As :func:`probe_images`.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: The two sets overlap or do not fit.
    """
    require('sklearn', 'the random forest')
    from sklearn.ensemble import RandomForestClassifier
    start = time.perf_counter()
    check_split(train, test)
    preprocessor = MultiSensorDataPreprocessor(sensor=sensor)

    def statistics(batches: Iterable[Tensor]) -> np.ndarray:
        return torch.cat([colour_statistics(b) for b in batches]).numpy()

    known = statistics(ImageBatches(train, preprocessor))
    asked = statistics(ImageBatches(test, preprocessor))
    right, per_seed = [], []
    for seed in seeds:
        chosen = stratified_subset(train.labels, fraction, seed)
        forest = RandomForestClassifier(trees, random_state=seed)
        forest.fit(known[chosen], train.labels[chosen])
        right.append(forest.predict(asked) == test.labels)
        per_seed.append(dict(seed=seed, top1=float(right[-1].mean()),
                             n_train=len(chosen)))
    return dict(
        **summarise(right), n_train=per_seed[0]['n_train'], n_test=len(test),
        classes=list(test.classes), method='random forest',
        fraction=fraction, feature_dims=known.shape[1], trees=trees,
        per_seed=per_seed, seconds=round(time.perf_counter() - start, 2))
