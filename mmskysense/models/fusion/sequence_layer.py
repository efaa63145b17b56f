# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A transformer layer over short sequences in which tokens may be absent."""

from mmcv.cnn.bricks.drop import DropPath
from torch import Tensor, nn

from ..layers import FeedForward, attend


class MaskedSequenceLayer(nn.Module):
    """Pre-norm self-attention and feed-forward network with a token mask.

    A vanilla transformer layer; pre-norm is ours (spec section 2 does not
    say which).

    Args:
        embed_dims: Width.
        num_heads: Attention heads.
        mlp_ratio: Hidden width of the feed-forward network over the width.
        drop_path_rate: Probability of skipping a branch of a sequence.
    """

    def __init__(self, embed_dims: int, num_heads: int,
                 mlp_ratio: float = 4.0, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(embed_dims)
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key_value = nn.Linear(embed_dims, 2 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.mlp = FeedForward(embed_dims, int(embed_dims * mlp_ratio))
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor, mask: Tensor | None = None,
                first_only: bool = False) -> Tensor:
        """Attend and transform.

        Args:
            x: Tokens (B, L, embed_dims).
            mask: bool (B, L), True where a token may be attended to; None
                means everywhere. At least one token of each sequence must.
            first_only: Compute the first token alone: what the last layer
                is needed for. It equals the first token of the full result.

        Returns:
            Tokens (B, L, embed_dims), or (B, 1, embed_dims).
        """
        normed = self.norm1(x)
        queries = normed[:, :1] if first_only else normed
        query = self.query(queries).unflatten(2, (self.num_heads, -1))
        key, value = self.key_value(normed).unflatten(
            2, (2, self.num_heads, -1)).unbind(2)
        attended = attend(
            query.transpose(1, 2), key.transpose(1, 2),
            value.transpose(1, 2),
            None if mask is None else mask[:, None, None])
        if first_only:
            x = x[:, :1]
        x = x + self.drop_path(self.proj(attended.transpose(1, 2).flatten(2)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
