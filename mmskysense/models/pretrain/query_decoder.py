# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Learnable queries that gather a map's content."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..layers import FeedForward, attend


class QueryDecoder(BaseModule):
    """Queries and a single transformer decoder layer over a map.

    SkySense V2, spec section 3 (16 queries, one layer). Ours: pre-norm, no
    position code on the map (the encoder's features carry position).

    Args:
        embed_dims: Channels of the map and width of the layer.
        num_queries: Queries, m.
        num_heads: Attention heads.
        mlp_ratio: Hidden width of the feed-forward network over the width.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(self, embed_dims: int, num_queries: int = 16,
                 num_heads: int = 8, mlp_ratio: float = 4.0,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if num_queries < 1:
            raise ValueError(f'num_queries={num_queries}: expected at least '
                             '1')
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is no multiple of '
                             f'num_heads={num_heads}')
        self.num_heads = num_heads
        self.queries = nn.Parameter(torch.empty(num_queries, embed_dims))
        self.norm_self = nn.LayerNorm(embed_dims)
        self.self_qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.self_proj = nn.Linear(embed_dims, embed_dims)
        self.norm_query = nn.LayerNorm(embed_dims)
        self.norm_map = nn.LayerNorm(embed_dims)
        self.cross_query = nn.Linear(embed_dims, embed_dims)
        self.cross_key_value = nn.Linear(embed_dims, 2 * embed_dims)
        self.cross_proj = nn.Linear(embed_dims, embed_dims)
        self.norm_mlp = nn.LayerNorm(embed_dims)
        self.mlp = FeedForward(embed_dims, int(embed_dims * mlp_ratio))
        self.norm = nn.LayerNorm(embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Glorot uniform weights, zero biases, queries of deviation 1.

        As in DETR: with smaller weights the attention of all queries is the
        same, uniform, and takes long to part.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.queries)
        self._is_init = True

    def _heads(self, x: Tensor) -> Tensor:
        """(B, L, d) to (B, heads, L, d / heads)."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, fused: Tensor,
                return_attention: bool = False,
                measured: Tensor | None = None
                ) -> tuple[Tensor, Tensor | None]:
        """Gather.

        Args:
            fused: Map (B, embed_dims, h, w).
            return_attention: Also return where each query looks.
            measured: Optional, bool (B, h, w): queries look at nothing else
                (ours). Of a map with nothing measured, at all of it.

        Returns:
            Query features (B, m, embed_dims), and attention (B, m, h, w),
            the heads' mean, which sums to 1 over places, or None.
        """
        height, width = fused.shape[-2:]
        places = self.norm_map(fused.flatten(2).transpose(1, 2))
        # The queries do not know the image yet: one pass for the batch.
        x = self.queries[None]
        query, key, value = (
            self._heads(part)
            for part in self.self_qkv(self.norm_self(x)).chunk(3, dim=-1))
        x = x + self.self_proj(
            attend(query, key, value)
            .transpose(1, 2).flatten(2))
        x = x.expand(len(fused), -1, -1)

        query = self._heads(self.cross_query(self.norm_query(x)))
        key, value = (self._heads(part) for part in self.cross_key_value(
            places).chunk(2, dim=-1))
        mask = None
        if measured is not None:
            mask = measured.flatten(1)
            # Every query needs a key; such views have no weight later.
            mask = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        attention = None
        if return_attention:
            scores = query.float() @ key.float().transpose(-2, -1)
            scores = scores * query.shape[-1]**-0.5
            if mask is not None:
                scores = scores.masked_fill(~mask, float('-inf'))
            attention = scores.softmax(-1)
            attention = attention.mean(1).unflatten(2, (height, width))
        gathered = attend(query, key, value, mask)
        x = x + self.cross_proj(gathered.transpose(1, 2).flatten(2))
        x = x + self.mlp(self.norm_mlp(x))
        return self.norm(x), attention
