# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Standardising hidden features of a head by the batch."""

import torch
from torch import Tensor

from ..across_processes import sum_over_processes, world_size

_TINY = 1e-5


def standardise_by_batch(x: Tensor, weight: Tensor) -> Tensor:
    """Each channel to mean 0 and deviation 1 over the samples of a batch.

    Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) without its
    learned scale and shift. There are no running means: student and teacher
    are both standardised by what they see, as in DINO's heads.

    The values are those of the batch of all processes. The gradient is that
    of this process' own statistics (ours), so that no collective has to take
    part in the backward pass, in the same order on processes whose batches
    have different sensors. Without any gradient of the statistics features
    of a short run differed in fewer directions (docs/evidence).

    Args:
        x: Features (*S, ..., C): S are the dimensions of ``weight``, the
            samples; what lies between has statistics of its own, such as
            the queries in (B, m, C) with weights (B,).
        weight: (*S), at least 0; samples of weight 0 do not count.

    Returns:
        The shape and dtype of ``x``; ``x`` itself where fewer than two
        samples have weight. Statistics are taken in float32.
    """
    samples = tuple(range(weight.dim()))
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    share = weight.to(wide)
    share = share.reshape(*share.shape, *(1, ) * (x.dim() - share.dim()))
    own = share.sum()
    mean = _joined((share * wide).sum(samples, keepdim=True), own)
    squared = (wide - mean).square()
    variance = _joined((share * squared).sum(samples, keepdim=True), own)
    result = ((wide - mean) * (variance + _TINY).rsqrt()).to(x.dtype)
    # Nothing waits for the device: one sample alone stays as it is.
    count = sum_over_processes((share > 0).to(wide).sum())
    return torch.where(count > 1, result, x)


def _joined(total: Tensor, weight: Tensor) -> Tensor:
    """Mean over all processes, with the gradient of this one's own mean."""
    own = total / weight.clamp(min=_TINY)
    if world_size() == 1:
        return own
    joined = sum_over_processes(total) / sum_over_processes(weight).clamp(
        min=_TINY)
    return joined + (own - own.detach())
