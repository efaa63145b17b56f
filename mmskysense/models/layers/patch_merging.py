# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Adaptive patch merging (APM): one weight, two resolutions."""

import torch.nn.functional as F
from torch import Tensor, nn


class AdaptivePatchMerging(nn.Module):
    """The transition between two stages, shared by all modalities.

    Merge mode concatenates each 2x2 neighbourhood (4d) and projects it to
    2d: half the resolution. Keep mode leaves the resolution as it is and
    still doubles the width, with the same weight: its four d-wide blocks are
    averaged, (W1 + W2 + W3 + W4) / 4, so no parameter is added. On a map
    whose 2x2 neighbourhoods are constant, keep mode gives a quarter of what
    merge mode gives before the LayerNorm, and the same after it.

    Source: SkySense V2, spec section 1 (form: notes; averaging: from the
    parameter count). The norm after the linear layer is Swin V2's.

    Args:
        embed_dims: Width d of the stage before.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * embed_dims, 2 * embed_dims, bias=False)
        self.norm = nn.LayerNorm(2 * embed_dims)

    def project(self, x: Tensor, merge: bool) -> Tensor:
        """The linear part, before the norm.

        Args:
            x: Tokens (N, H, W, d).
            merge: Merge mode if true, keep mode if false.

        Returns:
            Tokens (N, ceil(H / 2), ceil(W / 2), 2d) in merge mode, with odd
            sides padded by zeros; (N, H, W, 2d) in keep mode.
        """
        if not merge:
            weight = self.reduction.weight.unflatten(1, (4, -1)).mean(1)
            return F.linear(x, weight)
        height, width = x.shape[1:3]
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        # Neighbours in Swin V2's order: down the column, then to the right.
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))
        x = x.permute(0, 1, 3, 4, 2, 5).flatten(3)
        return self.reduction(x)

    def forward(self, x: Tensor, merge: bool) -> Tensor:
        """Project, then normalise; see :meth:`project` for the shapes."""
        return self.norm(self.project(x, merge))
