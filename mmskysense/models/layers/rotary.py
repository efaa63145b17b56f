# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Two-dimensional rotary position embedding for the global stages."""

import torch
from torch import Tensor, nn


class RotaryPosition2D(nn.Module):
    """Rotates query and key pairs by angles that grow with row and column.

    The first half of a head's channel pairs turns with the row, the second
    with the column, so attention depends on relative position only and any
    map size works without a table. Prompt tokens in front are not turned.

    The position scheme of stages 3-4 is unpublished: this is ours. The
    rotation itself is Su et al., RoFormer, arXiv 2104.09864, along two axes.

    Args:
        head_dims: Channels per head, a multiple of four.
        base: Ratio of the longest to the shortest wavelength.
    """

    def __init__(self, head_dims: int, base: float = 100.0) -> None:
        super().__init__()
        if head_dims % 4:
            raise ValueError(
                f'head_dims={head_dims}: two-dimensional rotary positions '
                'need a multiple of 4 (two axes, pairs of channels)')
        self.head_dims = head_dims
        self.base = base
        self._cache: dict[tuple, tuple[Tensor, Tensor]] = {}

    def angles(self, height: int, width: int, spacing: float,
               device: torch.device) -> Tensor:
        """Angles (height * width, head_dims / 2) in radians, float32.

        Args:
            height: Rows of the token map.
            width: Columns of the token map.
            spacing: Distance of neighbouring tokens in units of position: 1
                for positions in tokens, their distance over a reference
                distance for positions in metres.
            device: Where to compute.
        """
        pairs = self.head_dims // 4
        exponent = torch.arange(pairs, device=device) / pairs
        frequency = self.base**-exponent
        rows = torch.arange(height, device=device) * spacing
        columns = torch.arange(width, device=device) * spacing
        by_row = (rows[:, None] * frequency)[:, None].expand(-1, width, -1)
        by_column = (columns[:, None] * frequency)[None].expand(height, -1, -1)
        return torch.cat((by_row, by_column), dim=-1).flatten(0, 1)

    def forward(self, height: int, width: int, spacing: float,
                num_prompts: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine to hand to :func:`rotate`, cached by size.

        Args:
            height: Rows of the token map.
            width: Columns of the token map.
            spacing: See :meth:`angles`.
            num_prompts: Tokens in front that keep their place.
            like: Tensor whose device and dtype are taken.

        Returns:
            Two tensors (num_prompts + height * width, head_dims / 2).
        """
        # Autograd refuses tables that were made in inference mode.
        key = (height, width, spacing, num_prompts, like.device, like.dtype,
               torch.is_inference_mode_enabled())
        if key not in self._cache:
            angles = self.angles(height, width, spacing, like.device)
            still = angles.new_zeros(num_prompts, angles.shape[1])
            angles = torch.cat((still, angles))
            if len(self._cache) >= 16:  # multi-scale training: keep it small
                self._cache.clear()
            self._cache[key] = (angles.cos().to(like.dtype),
                                angles.sin().to(like.dtype))
        return self._cache[key]


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the channel pairs (i, i + d/2) of each token by its angle.

    Args:
        x: Queries or keys (N, heads, L, d).
        cosine: (L, d / 2).
        sine: (L, d / 2).

    Returns:
        Tensor of the shape of ``x``; the norm of each pair is kept.
    """
    # Tables are made in the tokens' type; under autocast queries are shorter.
    cosine, sine = cosine.to(x.dtype), sine.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine,
                      second * cosine + first * sine), dim=-1)
