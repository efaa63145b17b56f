# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Modality prompt tokens: what is specific to a sensor inside stages 3-4."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ModalityPrompts(nn.Module):
    """Learnable tokens of each modality, put in front of its tokens.

    They take part in all attention of a stage and are dropped after its
    last block. Source: SkySense V2, spec section 1 (4 per modality in each
    of stages 3 and 4).

    Args:
        sensors: Names of the modalities.
        num_prompts: Tokens per modality; 0 switches prompts off.
        embed_dims: Width of the stage.
    """

    def __init__(self, sensors: Sequence[str], num_prompts: int,
                 embed_dims: int) -> None:
        super().__init__()
        self.num_prompts = num_prompts
        self.tokens = nn.ParameterDict({
            sensor: nn.Parameter(torch.zeros(num_prompts, embed_dims))
            for sensor in sensors
        }) if num_prompts else nn.ParameterDict()
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the tokens from a truncated normal of deviation 0.02."""
        for token in self.tokens.values():
            nn.init.trunc_normal_(token, std=0.02)

    def prepend(self, x: Tensor, sensor: str) -> Tensor:
        """Put the sensor's prompts in front: (N, L, d) to (N, P + L, d)."""
        if not self.num_prompts:
            return x
        prompts = self.tokens[sensor].to(x.dtype).expand(len(x), -1, -1)
        return torch.cat((prompts, x), dim=1)

    def drop(self, x: Tensor) -> Tensor:
        """Take the prompts off again: (N, P + L, d) to (N, L, d)."""
        return x[:, self.num_prompts:]
