# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Blocks of stages 3-4: global self-attention over the whole map."""

from mmcv.cnn.bricks.drop import DropPath
from mmcv.cnn.bricks.scale import LayerScale
from torch import Tensor, nn

from .attention import attend
from .rotary import rotate

Rotation = tuple[Tensor, Tensor]


class GlobalAttention(nn.Module):
    """Multi-head self-attention of every token to every token.

    Args:
        embed_dims: Width.
        num_heads: Heads; 32 channels each in the paper's size.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """Attend.

        Args:
            x: Tokens (N, L, embed_dims).
            rotation: Cosine and sine of the rotary position, each
                (L, head_dims / 2), or ``None``.

        Returns:
            Tokens (N, L, embed_dims).
        """
        qkv = self.qkv(x).unflatten(2, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if rotation is not None:
            query, key = rotate(query, *rotation), rotate(key, *rotation)
        x = attend(query, key, value)
        return self.proj(x.transpose(1, 2).flatten(2))


class GlobalBlock(nn.Module):
    """Vanilla transformer block: pre-norm, LayerScale, drop path.

    Global attention is the paper's; pre-norm and LayerScale are ours (the
    norm of stages 3-4 is unpublished, spec section 1).

    Args:
        embed_dims: Width.
        num_heads: Attention heads.
        feed_forward: Dense network or mixture of experts, (N, L, d) to
            (N, L, d).
        layer_scale: Initial LayerScale; 0 leaves LayerScale out.
        drop_path_rate: Probability of skipping the branch of a sample.
    """

    def __init__(self, embed_dims: int, num_heads: int,
                 feed_forward: nn.Module, layer_scale: float = 1e-5,
                 drop_path_rate: float = 0.0) -> None:
        super().__init__()

        def scale() -> nn.Module:
            if not layer_scale:
                return nn.Identity()
            return LayerScale(embed_dims, scale=layer_scale)

        self.norm1 = nn.LayerNorm(embed_dims)
        self.attn = GlobalAttention(embed_dims, num_heads)
        self.scale1 = scale()
        self.norm2 = nn.LayerNorm(embed_dims)
        self.mlp = feed_forward
        self.scale2 = scale()
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """(N, L, embed_dims) to (N, L, embed_dims)."""
        x = x + self.drop_path(
            self.scale1(self.attn(self.norm1(x), rotation)))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))
