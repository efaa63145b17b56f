# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Which expert each token takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PALETTE = ((47, 126, 216), (224, 123, 57), (58, 157, 93), (182, 95, 207),
           (201, 162, 39), (20, 170, 180), (200, 60, 90), (120, 120, 120))


@dataclass(frozen=True)
class ExpertMap:
    """Choices in one mixture of experts.

    Args:
        block: Name of the block, e.g. ``'stages.3.blocks.0'``.
        choice: int64 (N, h, w), expert of each token.
        num_experts: Experts there are.
    """

    block: str
    choice: Tensor
    num_experts: int

    def shares(self) -> list[float]:
        """Share of the tokens that each expert gets."""
        counts = torch.bincount(self.choice.flatten(),
                                minlength=self.num_experts)
        return (counts / counts.sum()).tolist()


@contextmanager
def _recording(backbone: nn.Module) -> Iterator[dict[str, nn.Module]]:
    mixtures = {
        name: module for name, module in backbone.named_modules()
        if hasattr(module, 'record_assignment')
    }
    for module in mixtures.values():
        module.record_assignment = True
    try:
        yield mixtures
    finally:
        for module in mixtures.values():
            module.record_assignment, module.last_assignment = False, None


@torch.no_grad()
def expert_maps(backbone: nn.Module, images: Tensor) -> list[ExpertMap]:
    """Which expert each token of the images takes.

    Args:
        backbone: :class:`SkySenseV2` with experts.
        images: Normalised pixels (N, C, H, W) of the encoder's sensor.

    Returns:
        A map for each mixture, in order of depth; prompt tokens are left
        out.

    Raises:
        ValueError: The encoder has no mixture of experts.
    """
    with _recording(backbone) as mixtures:
        if not mixtures:
            raise ValueError('the encoder has no mixture of experts; build '
                             'it with moe=dict(...)')
        backbone(images)
        maps = []
        for name, module in mixtures.items():
            stage = int(name.split('.')[1])
            stride = backbone.stride(stage)  # type: ignore[operator]
            height, width = (-(-side // stride) for side in images.shape[2:])
            choice = module.last_assignment.view(  # type: ignore[union-attr]
                len(images), -1)[:, -height * width:]
            maps.append(ExpertMap(
                name.rpartition('.')[0], choice.unflatten(
                    1, (height, width)).clone(),
                int(module.num_experts)))  # type: ignore[arg-type]
    return maps
