# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""k-nearest-neighbour classification of frozen features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Similarities held at once, in elements: 64 MiB of float32.
_CHUNK_ELEMENTS = 1 << 24


def nearest_neighbour_scores(train: Tensor,
                             labels: Tensor,
                             test: Tensor,
                             num_classes: int,
                             k: int = 20,
                             temperature: float | None = 0.07,
                             shares: bool = False) -> Tensor:
    """Votes of the k most similar training features, by cosine.

    Weighted: a neighbour of similarity s votes with exp(s / temperature),
    as in DINO (arXiv 2104.14294, section 4.1, after arXiv 1805.01978).
    Plain: each neighbour has one vote.

    Args:
        train: Floating point (M, D), on any device.
        labels: int64 (M,), 0 to ``num_classes`` - 1; or (M, num_classes)
            of 0 and 1 where an image has several classes.
        test: (N, D), on the same device.
        num_classes: Classes.
        k: Neighbours; with fewer training features, all of them vote.
        temperature: Of the weights; None for plain votes.
        shares: Divide by the sum of the weights: comparable between images.

    Returns:
        float32 (N, num_classes), at least 0; the prediction is the argmax,
        the lowest class id on a tie.

    Raises:
        ValueError: Shapes do not fit, k or temperature is not positive, or
            a feature is not finite.
    """
    if train.dim() != 2 or test.dim() != 2 or \
            train.shape[1] != test.shape[1] or len(labels) != len(train):
        raise ValueError(
            'k-NN needs features (M, D), labels (M,) and features (N, D), '
            f'found {tuple(train.shape)}, {tuple(labels.shape)} and '
            f'{tuple(test.shape)}')
    if k < 1 or not len(train):
        raise ValueError(f'k-NN needs k of at least 1 and a training '
                         f'feature, found k={k} and {len(train)} features')
    if temperature is not None and temperature <= 0:
        raise ValueError(f'temperature={temperature}: expected a positive '
                         'number, or None for plain votes')
    for what, features in (('training', train), ('test', test)):
        if not bool(torch.isfinite(features).all()):
            raise ValueError(f'a {what} feature is not finite: the encoder '
                             'has diverged, or its input holds NaN')
    bank = F.normalize(train.float(), dim=1).T
    votes = labels.float() if labels.dim() == 2 else F.one_hot(
        labels, num_classes).float()
    k = min(k, len(train))
    scores = []
    for chunk in test.split(max(_CHUNK_ELEMENTS // len(train), 1)):
        similarity = F.normalize(chunk.float(), dim=1) @ bank
        near, index = similarity.topk(k, dim=1)
        weight = torch.ones_like(near) if temperature is None else \
            torch.exp((near - 1) / temperature)  # at most 1: cannot overflow
        if shares:
            weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-30)
        scores.append(torch.einsum('nk,nkc->nc', weight, votes[index]))
    if not scores:
        return votes.new_zeros(0, num_classes)
    return torch.cat(scores)
