# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""KoLeo: spread the features of a batch over the sphere."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..across_processes import gather_over_processes, world_size

_TINY = 1e-8


def koleo_loss(features: Tensor, measured: Tensor | None = None) -> Tensor:
    """Minus the mean logarithm of the distance to the nearest neighbour.

    Sablayrolles et al., Spreading vectors for similarity search, arXiv
    1806.03198, equation 3; in pre-training ours, as in DINOv2, weight 0.1.
    Neighbours are looked for in the batches of all processes (ours).

    Args:
        features: (N, d), any scale: they are normalised first. The same N
            on every process.
        measured: Optional, bool (N,); samples of False are left out, as
            themselves and as neighbours.

    Returns:
        Scalar, float32 (float64 for such features), the same on every
        process; 0 (in the graph) for fewer than two samples.
    """
    if features.dim() != 2:
        raise ValueError('features: expected (N, d), found '
                         f'{tuple(features.shape)}')
    precise = torch.promote_types(features.dtype, torch.float32)
    if measured is None:
        measured = torch.ones(
            len(features), dtype=torch.bool, device=features.device)
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(features.to(precise), dim=-1, eps=_TINY)
        # Others' features carry no gradient here: each process computes the
        # whole loss and differentiates it by its own features.
        unit = gather_over_processes(unit)
        measured = gather_over_processes(measured.byte()).bool()
        if len(unit) < 2:
            return 0.0 * unit.sum()
        with torch.no_grad():
            similarity = unit @ unit.T
            similarity.fill_diagonal_(-2.0)
            similarity = similarity.masked_fill(~measured, -2.0)
            nearest = similarity.argmax(dim=1)
        # The epsilon inside the norm keeps its gradient finite for twins.
        distance = F.pairwise_distance(unit, unit[nearest], eps=_TINY)
        logarithm = (distance + _TINY).log()
        count = measured.sum()
        # One alone has no neighbour. Nothing here waits for the device.
        weight = (measured & (count > 1)).to(logarithm)
        loss = -(logarithm * weight).sum() / count.clamp(min=1)
    # The average over processes divides the gradient, of which each has a
    # part, by their number.
    size = world_size()
    return loss if size == 1 else size * loss - (size - 1) * loss.detach()
