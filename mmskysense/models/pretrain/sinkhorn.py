# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Sinkhorn-Knopp centring of the teacher's assignments."""

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..across_processes import (
    max_over_processes,
    sum_over_processes,
    world_size,
)

# Below exp(-2 / 0.03), the smallest mass that cosines can give.
_TINY = 1e-30


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor,
                   temperature: float,
                   iterations: int = 3,
                   weight: Tensor | None = None,
                   joined: bool = True) -> Tensor:
    """Teacher's assignments that use all prototypes equally over the batch.

    Alternates between giving each prototype the same share of the batch and
    each sample the total 1. Ours for SkySense V2 (its loss is unpublished),
    after Caron et al., SwAV, arXiv 2006.09882, as DINOv2 uses it. The batch
    is that of all processes; nothing waits for the device.

    Args:
        logits: (..., N, K), N samples by K prototypes; leading dimensions
            are independent problems.
        temperature: Positive; logits are divided by it.
        iterations: Rounds of normalisation, at least 1.
        weight: Optional, (..., N) in [0, 1]; samples of weight 0 take no
            part, and their rows of the result are 0.
        joined: Whether the samples of all processes are one problem; False
            for problems that end within a tile.

    Returns:
        float32 of the shape of ``logits``, without gradient: rows sum to 1.

    Raises:
        ValueError: ``temperature`` or ``iterations`` out of range.
    """
    if temperature <= 0 or iterations < 1:
        raise ValueError(
            f'temperature={temperature}, iterations={iterations}: expected a '
            'positive temperature and at least 1 iteration')
    scaled = logits.float() / temperature
    # The same shift for all samples of a problem cancels; it keeps exp in
    # range. Every process needs the same one.
    shift = scaled.amax(dim=(-2, -1), keepdim=True)
    if joined:
        shift = max_over_processes(shift)
    mass = (scaled - shift).exp()
    if weight is not None:
        mass = mass * weight[..., None].to(mass)
    present = torch.ones_like(mass[..., :1]) if weight is None \
        else weight[..., None].to(mass)
    for _ in range(iterations):
        column = mass.sum(dim=-2, keepdim=True)
        if joined:
            column = sum_over_processes(column)
        mass = mass / column.clamp(min=_TINY)
        row = mass.sum(dim=-1, keepdim=True)
        mass = mass / row.clamp(min=_TINY) * present
    return mass


class SampleCount:
    """Warns, once, of a step that has fewer samples than prototypes.

    Sinkhorn then spreads every sample over several prototypes. That is no
    error (DINOv2 has more prototypes than samples too), but targets get
    soft, and with many more prototypes uniform: nothing to learn from.

    Args:
        name: Whose prototypes.
    """

    def __init__(self, name: str) -> None:
        self.name, self._warned = name, False

    def check(self, samples: int, prototypes: int) -> None:
        """Compare.

        Args:
            samples: Of this process, at most.
            prototypes: K.
        """
        samples *= world_size()
        if samples >= prototypes or self._warned:
            return
        self._warned = True
        print_log(
            f'{self.name}: {prototypes} prototypes for {samples} samples a '
            'step, so targets get soft: lower num_prototypes or raise the '
            'batch size if assignment_entropy comes near 1.',
            logger='current', level=30)
