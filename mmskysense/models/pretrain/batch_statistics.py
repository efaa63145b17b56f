# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Standardising hidden features of a head by the batch."""

import torch
from torch import Tensor

from ..across_processes import sum_over_processes

_TINY = 1e-5


def standardise_by_batch(x: Tensor, weight: Tensor) -> Tensor:
    """Each channel to mean 0 and deviation 1 over the samples of a batch.

    Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) without its
    learned scale and shift, over the batch of all processes, by weight, and
    with statistics that carry no gradient (ours): collectives would else
    have to take part in the backward pass, in the same order on processes
    whose batches have different sensors. There are no running means: student
    and teacher are both standardised by what they see, as in DINO's heads.

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
    with torch.no_grad():
        count = sum_over_processes((share > 0).to(wide).sum())
        total = sum_over_processes(share.sum()).clamp(min=_TINY)
        mean = sum_over_processes(
            (share * wide).sum(samples, keepdim=True)) / total
        variance = sum_over_processes(
            (share * (wide - mean).square()).sum(samples,
                                                 keepdim=True)) / total
        scale = (variance + _TINY).rsqrt()
        # Nothing waits for the device: one sample alone stays as it is.
        enough = count > 1
        mean = torch.where(enough, mean, torch.zeros_like(mean))
        scale = torch.where(enough, scale, torch.ones_like(scale))
    return ((wide - mean) * scale).to(x.dtype)
