# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From features to similarities with prototypes."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..across_processes import world_size
from .batch_statistics import standardise_by_batch

_TINY = 1e-6


class ProjectionHead(BaseModule):
    """Three-layer network, bottleneck on the unit sphere, unit prototypes.

    Logits are cosines in [-1, 1]. The loss of SkySense V2 is unpublished:
    this head (hidden 2048, bottleneck 256, 8k-65k prototypes) is ours, after
    Caron et al., DINO, arXiv 2104.14294, and Oquab et al., DINOv2, arXiv
    2304.07193 (spec section 3).

    Args:
        in_channels: Channels of the features.
        num_prototypes: Prototypes, K.
        hidden_channels: Width of the two hidden layers.
        bottleneck_channels: Width in front of the prototypes.
        batch_norm: Standardise both hidden layers by the batch, see
            :func:`standardise_by_batch`. A new encoder's features are all
            much alike, and so are the cosines of a head without it: targets
            are close to uniform and say little.
        init_cfg: mmengine's initialisation config.

    Attributes:
        prototypes_frozen: While True the prototypes' gradient is zero (not
            absent, as DistributedDataParallel needs one). Their length does
            not count, so weight decay does not move them either.
    """

    def __init__(self, in_channels: int, num_prototypes: int,
                 hidden_channels: int = 2048,
                 bottleneck_channels: int = 256,
                 batch_norm: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if num_prototypes < 2:
            raise ValueError(f'num_prototypes={num_prototypes}: expected at '
                             'least 2, or every assignment is the same')
        self.num_prototypes = num_prototypes
        self.batch_norm = batch_norm
        self.prototypes_frozen = False
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, hidden_channels), nn.GELU(),
            nn.Linear(hidden_channels, hidden_channels), nn.GELU(),
            nn.Linear(hidden_channels, bottleneck_channels))
        self.prototypes = nn.Parameter(
            torch.empty(num_prototypes, bottleneck_channels))
        self.init_weights()

    def init_weights(self) -> None:
        """Glorot uniform weights, zero biases.

        They keep the bottleneck's length near that of the input. With
        DINO's deviation of 0.02 a narrow head makes it so short that
        normalising it multiplies the encoder's gradient a thousandfold.
        """
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.prototypes)
        self._is_init = True

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Features to cosines with the prototypes.

        Args:
            x: (*S, ..., in_channels).
            weight: For ``batch_norm``, (*S), at least 0, which dimensions
                are the samples and which of them count; None: all do.

        Returns:
            Logits (*S, ..., K), float32; in a head of float64 (gradient
            checks) float64.
        """
        if weight is None:
            weight = x.new_ones(x.shape[:-1])
        for layer in self.mlp:
            if self.batch_norm and isinstance(layer, nn.GELU):
                x = standardise_by_batch(x, weight)
            x = layer(x)
        precise = torch.promote_types(x.dtype, torch.float32)
        x = x.to(precise)
        with torch.autocast(x.device.type, enabled=False):
            x = F.normalize(x, dim=-1, eps=_TINY)
            prototypes = F.normalize(self.prototypes.to(precise), dim=-1,
                                     eps=_TINY)
            if self.prototypes_frozen:
                prototypes = prototypes.detach() + 0.0 * prototypes
            return F.linear(x, prototypes)

    def take_part(self) -> None:
        """Where this process has no sample: be there for the others' sums."""
        if not self.batch_norm or world_size() == 1:
            return
        for layer in self.mlp[:-1]:
            if isinstance(layer, nn.Linear):
                standardise_by_batch(
                    layer.weight.new_zeros(0, layer.out_features),
                    layer.weight.new_zeros(0))
