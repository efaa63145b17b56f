# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""KoLeo: spread the features of a batch over the sphere."""

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-8


def koleo_loss(features: Tensor, measured: Tensor | None = None) -> Tensor:
    """Minus the mean logarithm of the distance to the nearest neighbour.

    Sablayrolles et al., Spreading vectors for similarity search, arXiv
    1806.03198, equation 3; in pre-training ours, as in DINOv2, weight 0.1.

    Args:
        features: (N, d), any scale: they are normalised first.
        measured: Optional, bool (N,); samples of False are left out, as
            themselves and as neighbours.

    Returns:
        Scalar, float32; 0 (in the graph) for fewer than two samples.
    """
    if features.dim() != 2:
        raise ValueError('features: expected (N, d), found '
                         f'{tuple(features.shape)}')
    if len(features) < 2:
        return 0.0 * features.float().sum()
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(features.float(), dim=-1, eps=_TINY)
        with torch.no_grad():
            similarity = unit @ unit.T
            similarity.fill_diagonal_(-2.0)
            if measured is not None:
                similarity = similarity.masked_fill(~measured, -2.0)
            nearest = similarity.argmax(dim=1)
        # The epsilon inside the norm keeps its gradient finite for twins.
        distance = F.pairwise_distance(unit, unit[nearest], eps=_TINY)
        logarithm = (distance + _TINY).log()
        if measured is None:
            return -logarithm.mean()
        count = measured.sum()
        # One alone has no neighbour. Nothing here waits for the device.
        weight = (measured & (count > 1)).to(logarithm)
        return -(logarithm * weight).sum() / count.clamp(min=1)
