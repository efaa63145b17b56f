# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Probing a classification set: from images to a figure with its interval."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.models.pretrain.effective_rank import effective_rank

from .confidence import bootstrap_interval
from .extraction import extract_features
from .image_sets import ImageBatches, LabelledImages, check_split
from .linear import linear_probe
from .neighbours import nearest_neighbour_scores
from .standardise import standardised
from .subsets import stratified_subset

METHODS = ('knn', 'linear')
# From a seed to an encoder and the normalisation of its images.
EncoderMaker = Callable[[int], tuple[nn.Module, MultiSensorDataPreprocessor]]


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe.

    Args:
        method: ``'knn'`` or ``'linear'``.
        k: Neighbours of the k-NN.
        temperature: Of its weights (DINO's 0.07); None for plain votes.
        fraction: Share of the training labels, drawn by class.
        image_size: Side to which images are resized; None keeps theirs.
        batch_size: Images in a batch.
        device: Where the encoder runs.
        bfloat16: Run the encoder in bfloat16.
        standardise: For the k-NN, bring each feature to mean 0 and deviation
            1 of the training images first (the linear probe always does).
        each: Judge every stage or block by itself too.
        progress: Show progress on stderr.

    Raises:
        ValueError: Unknown method, or a number out of range.
    """

    method: str = 'knn'
    k: int = 20
    temperature: float | None = 0.07
    fraction: float = 1.0
    image_size: int | None = None
    batch_size: int = 64
    device: str = 'cpu'
    bfloat16: bool = False
    each: bool = False
    progress: bool = False
    standardise: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method='{self.method}': expected one of "
                             f'{METHODS}')
        for name in ('k', 'image_size', 'batch_size'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f'{name}={value}: expected at least 1')
        if not 0 < self.fraction <= 1:
            raise ValueError(f'fraction={self.fraction}: expected above 0, '
                             'at most 1 (all labels)')
        if self.temperature is not None and self.temperature <= 0:
            raise ValueError(f'temperature={self.temperature}: expected '
                             'above 0, or None for plain votes')


def judge_features(train: Tensor,
                   labels: np.ndarray,
                   test: Tensor,
                   truth: np.ndarray,
                   num_classes: int,
                   options: ProbeOptions,
                   seed: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    """Classify test features from training features.

    Args:
        train: float32 (M, D).
        labels: int64 (M,).
        test: float32 (N, D).
        truth: int64 (N,).
        num_classes: Classes.
        options: See :class:`ProbeOptions`.
        seed: Of the linear probe's validation part.

    Returns:
        bool (N,), which were right, and what the probe has chosen.
    """
    if options.method == 'knn':
        if options.standardise:
            train, test = standardised_tensors(train, test)
        scores = nearest_neighbour_scores(
            train, torch.from_numpy(labels), test, num_classes, options.k,
            options.temperature)
        return scores.argmax(1).numpy() == truth, dict(
            k=min(options.k, len(train)), temperature=options.temperature)
    if not bool(torch.isfinite(test).all()):
        raise ValueError('a test feature is not finite: the encoder has '
                         'diverged, or its input holds NaN')
    found = linear_probe(train.numpy(), labels, seed=seed)
    return found.predict(test.numpy()) == truth, dict(
        strength=found.strength, validation_top1=found.validation_top1)


def probe_images(make_encoder: EncoderMaker,
                 train: LabelledImages,
                 test: LabelledImages,
                 options: ProbeOptions,
                 seeds: Sequence[int] = (0, ),
                 same_weights: bool = False) -> dict[str, Any]:
    """Probe an encoder on a labelled set.

    A seed chooses random weights (if the encoder has any), the few-shot
    subset, and the linear probe's validation part.

    Args:
        make_encoder: From a seed to an encoder and its normalisation.
        train: Labelled images that classify.
        test: Images that are classified.
        options: How.
        seeds: The figure is the mean over them.
        same_weights: ``make_encoder`` gives the same for every seed, so
            that features are taken once.

    Returns:
        For JSON: ``top1`` (0 to 1, mean over seeds), ``ci95`` ([low, high],
        bootstrap over test images), ``n_train``, ``n_test``, ``classes``,
        ``feature_dims``, ``effective_rank`` (see there; of the last
        seed's test features), ``per_seed`` (with what each probe chose),
        ``std_over_seeds`` (with more than one), ``each`` (a list, of single
        stages or blocks), ``seconds``.

    Raises:
        ValueError: The two sets overlap or do not fit, see
            :func:`check_split`.
    """
    start = time.perf_counter()
    right: list[np.ndarray] = []
    each: dict[str, list[np.ndarray]] = {}
    per_seed: list[dict[str, Any]] = []
    for seed, features in features_by_seed(
            make_encoder, train, test, options, seeds, same_weights):
        chosen = stratified_subset(train.labels, options.fraction, seed)
        groups = {'all': list(features['test'])}
        if options.each:
            groups.update({name: [name] for name in features['test']})
        for group, names in groups.items():
            correct, choice = judge_features(
                joined(features['training'], names)[chosen],
                train.labels[chosen], joined(features['test'], names),
                test.labels, len(test.classes), options, seed)
            if group != 'all':
                each.setdefault(group, []).append(correct)
                continue
            right.append(correct)
            per_seed.append(dict(seed=seed, top1=float(correct.mean()),
                                 n_train=len(chosen), **choice))
    result = dict(**summarise(right),
                  **common_record(features, test, options, per_seed))
    if len(per_seed) > 1:
        result['std_over_seeds'] = float(
            np.std([found['top1'] for found in per_seed], ddof=1))
    if each:
        result['each'] = [dict(features=name, **summarise(values))
                          for name, values in each.items()]
    result['seconds'] = round(time.perf_counter() - start, 2)
    return result


def standardised_tensors(train: Tensor, test: Tensor
                         ) -> tuple[Tensor, Tensor]:
    """Training and test features by the training ones, on the CPU."""
    first, second = standardised(train.numpy(), test.numpy())
    return torch.from_numpy(first), torch.from_numpy(second)


def features_by_seed(
    make_encoder: EncoderMaker, train: LabelledImages, test: LabelledImages,
    options: ProbeOptions, seeds: Sequence[int], same_weights: bool
) -> Iterator[tuple[int, dict[str, dict[str, Tensor]]]]:
    """Features of both sets for each seed, taken anew only where needed.

    Arguments as of :func:`probe_images`.

    Yields:
        The seed, and ``'training'`` and ``'test'`` -> name -> (N, D).

    Raises:
        ValueError: The two sets overlap or do not fit.
    """
    check_split(train, test)
    encoder: nn.Module | None = None
    for seed in seeds:
        if encoder is None or not same_weights:
            encoder, preprocessor = make_encoder(seed)
            encoder.eval().to(options.device)
            features = {
                kind: extract_features(
                    encoder,
                    ImageBatches(
                        part, preprocessor, options.image_size,
                        options.batch_size,
                        progress=f'{kind} images' if options.progress
                        else ''), options.device, options.bfloat16)
                for kind, part in (('training', train), ('test', test))
            }
        yield seed, features


def common_record(features: Mapping[str, Mapping[str, Tensor]],
                  test: LabelledImages, options: ProbeOptions,
                  per_seed: list[dict[str, Any]]) -> dict[str, Any]:
    """What every probe's record has, beside its figure."""
    return dict(
        n_train=per_seed[0]['n_train'], n_test=len(test),
        classes=list(test.classes), method=options.method,
        fraction=options.fraction, image_size=options.image_size,
        feature_dims=sum(f.shape[1] for f in features['test'].values()),
        effective_rank=round(
            float(effective_rank(joined(features['test']))), 2),
        standardise=options.standardise or options.method == 'linear',
        precision='bfloat16' if options.bfloat16 else 'float32',
        per_seed=per_seed)


def summarise(right: Sequence[np.ndarray]) -> dict[str, Any]:
    """Accuracy and its interval over test images.

    Args:
        right: For each seed bool (N,), which test images were right.

    Returns:
        ``top1``, the mean over seeds and images, and ``ci95``.
    """
    by_image = np.stack(right, axis=1).mean(1)
    return dict(top1=float(by_image.mean()),
                ci95=list(bootstrap_interval(by_image)))


def joined(features: Mapping[str, Tensor],
           names: Sequence[str] | None = None) -> Tensor:
    """Features (N, D) of some names, or all, side by side."""
    return torch.cat([features[name] for name in names or features], dim=1)
