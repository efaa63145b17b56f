# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The two kinds of stage: windowed (1-2) and global (3-4)."""

from collections.abc import Callable, Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers import (
    FeedForward,
    GlobalBlock,
    MixtureOfExperts,
    ModalityPrompts,
    RotaryPosition2D,
    SwinV2Block,
)


def _run(block: nn.Module, with_cp: bool, *inputs: object) -> Tensor:
    """Run a block, recomputing its activations in backward if asked."""
    if with_cp and block.training:
        return checkpoint(block, *inputs, use_reentrant=False)
    return block(*inputs)


class WindowStage(BaseModule):
    """Stage 1 or 2: Swin V2 blocks, every second one shifted.

    Args:
        embed_dims: Width.
        depth: Blocks.
        num_heads: Attention heads.
        window_size: Side of a window in tokens.
        drop_path_rates: One for each block.
        with_cp: Recompute activations in the backward pass.
    """

    def __init__(self, embed_dims: int, depth: int, num_heads: int,
                 window_size: int, drop_path_rates: Sequence[float],
                 with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.blocks = nn.ModuleList(
            SwinV2Block(embed_dims, num_heads, window_size,
                        shifted=index % 2 == 1,
                        drop_path_rate=drop_path_rates[index])
            for index in range(depth))

    def forward(self, x: Tensor, sensor: str, spacing: float) -> Tensor:
        """Tokens (N, H, W, d) to the same shape; sensors do not matter."""
        for block in self.blocks:
            x = _run(block, self.with_cp, x)
        return x


class GlobalStage(BaseModule):
    """Stage 3 or 4: prompts in front, global attention, prompts dropped.

    Args:
        embed_dims: Width.
        depth: Blocks.
        num_heads: Attention heads.
        sensors: Modalities that get prompt tokens.
        num_prompts: Prompt tokens per modality.
        moe: For each block the arguments of :class:`MixtureOfExperts`, or
            ``None`` for a dense network.
        rotary: Whether attention gets rotary positions.
        layer_scale: Initial LayerScale, 0 for none.
        drop_path_rates: One for each block.
        with_cp: Recompute activations in the backward pass.
    """

    def __init__(self, embed_dims: int, depth: int, num_heads: int,
                 sensors: Sequence[str], num_prompts: int,
                 moe: Sequence[dict | None], rotary: bool,
                 layer_scale: float, drop_path_rates: Sequence[float],
                 with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.prompts = ModalityPrompts(sensors, num_prompts, embed_dims)
        self.position = RotaryPosition2D(
            embed_dims // num_heads) if rotary else None

        def feed_forward(index: int) -> nn.Module:
            network: Callable[..., nn.Module] = FeedForward
            options = moe[index]
            if options is not None:
                network = MixtureOfExperts
            return network(embed_dims, 4 * embed_dims, **(options or {}))

        self.blocks = nn.ModuleList(
            GlobalBlock(embed_dims, num_heads, feed_forward(index),
                        layer_scale, drop_path_rates[index])
            for index in range(depth))

    def forward(self, x: Tensor, sensor: str, spacing: float) -> Tensor:
        """Tokens (N, H, W, d) to the same shape.

        Args:
            x: Tokens of one sensor.
            sensor: Whose prompts to put in front.
            spacing: Distance of neighbouring tokens in units of position.
        """
        height, width = x.shape[1:3]
        x = self.prompts.prepend(x.flatten(1, 2), sensor)
        rotation = None
        if self.position is not None:
            rotation = self.position(height, width, spacing,
                                     self.prompts.num_prompts, x)
        for block in self.blocks:
            x = _run(block, self.with_cp, x, rotation)
        return self.prompts.drop(x).unflatten(1, (height, width))
