# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Detail for maps that were resampled to a finer grid."""

import torch.nn.functional as F
from torch import Tensor, nn


class UpHead(nn.Module):
    """Learned part of bringing a coarse map to a finer grid.

    The bilinear map plus what two small convolutions make of it: 3 x 3 for
    each channel, then 1 x 1 across channels, which starts at zero, so that
    training starts from bilinear resampling. Places where nothing was
    measured neither give nor get anything. The spec (section 2) names a
    learned up-head as an option; its form is ours.

    Args:
        embed_dims: Channels.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(embed_dims, embed_dims, 3, padding=1,
                                   groups=embed_dims)
        self.pointwise = nn.Conv2d(embed_dims, embed_dims, 1)
        self.init_weights()

    def init_weights(self) -> None:
        """Start as the identity."""
        nn.init.kaiming_normal_(self.depthwise.weight, nonlinearity='relu')
        nn.init.zeros_(self.depthwise.bias)
        nn.init.zeros_(self.pointwise.weight)
        nn.init.zeros_(self.pointwise.bias)

    def forward(self, maps: Tensor, measured: Tensor) -> Tensor:
        """Add detail.

        Args:
            maps: (M, C, h, w), resampled.
            measured: bool (M, h, w).

        Returns:
            Maps of the same shape.
        """
        weight = measured[:, None].to(maps.dtype)
        detail = self.pointwise(F.gelu(self.depthwise(maps * weight)))
        return maps + detail.to(maps.dtype) * weight

    def idle(self) -> Tensor:
        """0, connected to all parameters: batches without a coarse map."""
        return sum(0.0 * p.sum()  # type: ignore[return-value]
                   for p in self.parameters())
