# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""In how many directions features differ."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


@torch.no_grad()
def effective_rank(features: Tensor, measured: Tensor | None = None) -> Tensor:
    """Exponential of the entropy of the shares of variance.

    The effective rank of Roy and Vetterli (EUSIPCO 2007), of variances.
    Features that tell tiles apart by colour alone have about 3.

    Args:
        features: (M, D), any scale: they are normalised first.
        measured: Optional, bool (M,); samples of False are left out.

    Returns:
        Scalar, at least 1 (equal features) and at most min(M, D).
    """
    unit = normalize(features.float(), dim=-1)
    weight = torch.ones_like(unit[:, :1]) if measured is None else \
        measured.to(unit)[:, None]
    mean = (unit * weight).sum(0) / weight.sum().clamp(min=1)
    # A run that blows up is told of by its loss, not by this.
    variance = torch.linalg.svdvals(
        ((unit - mean) * weight).nan_to_num()).square()
    share = variance / variance.sum().clamp(min=1e-12)
    return (-torch.xlogy(share, share).sum()).exp()
