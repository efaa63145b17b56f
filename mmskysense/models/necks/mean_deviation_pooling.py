# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pooling that keeps texture: the deviation over places beside the mean."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmskysense.registry import MODELS

# Of the variance: a map of one place has none, and the slope of a root is
# infinite at 0; below this it is 0.
_LEAST_VARIANCE = 1e-12


def pool_mean_deviation(places: Tensor) -> Tensor:
    """Mean and standard deviation over places.

    Args:
        places: Float (N, L, D), L of at least 1.

    Returns:
        (N, 2 D): means, then deviations of the places that are there (not
        an estimate for others: divided by L).
    """
    mean = places.mean(1)
    variance = (places - mean[:, None]).square().mean(1)
    return torch.cat([mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()], 1)


@MODELS.register_module()
class MeanDeviationPooling(BaseModule):
    """Mean and standard deviation over places, of all maps side by side.

    In place of ``GlobalAveragePooling`` before a stock classification head.
    The mean of the last map says what an image consists of; how it varies,
    and the colours and edges of the first stages, it does not. What frozen
    features gain: docs/evidence/pretraining.md. Ours, not the paper's.

    Each place of each map first passes a layer norm without parameters, so
    that no stage outweighs another.

    Args:
        in_channels: Channels of each map that the backbone returns.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: Features of an image, what the head needs:
            2 x the sum of ``in_channels``.

    Raises:
        ValueError: No map.

    Example:
        >>> import torch
        >>> from mmskysense.models.necks import MeanDeviationPooling
        >>> neck = MeanDeviationPooling((8, 16))
        >>> features, = neck((torch.rand(3, 8, 12, 12),
        ...                   torch.rand(3, 16, 6, 6)))
        >>> tuple(features.shape), neck.out_channels
        ((3, 48), 48)
    """

    def __init__(self, in_channels: Sequence[int],
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not in_channels:
            raise ValueError('MeanDeviationPooling: in_channels is empty, '
                             'expected the channels of each map of the '
                             'backbone')
        self.in_channels = tuple(in_channels)
        self.out_channels = 2 * sum(self.in_channels)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor]:
        """Pool.

        Args:
            maps: (N, C_i, H_i, W_i) of each level, any sizes.

        Returns:
            One float tensor (N, ``out_channels``) in a tuple, as heads take
            it: mean and deviation of the first map, then of the next.

        Raises:
            ValueError: Maps of other channels than ``in_channels``.
        """
        found = tuple(level.shape[1] for level in maps)
        if found != self.in_channels:
            raise ValueError(
                f'MeanDeviationPooling: expected maps of {self.in_channels} '
                f'channels, found {found}; in_channels must fit the '
                "backbone's out_indices")
        pooled = []
        for level in maps:
            places = level.flatten(2).transpose(1, 2)
            pooled.append(pool_mean_deviation(
                F.layer_norm(places, places.shape[-1:])))
        return torch.cat(pooled, dim=1),
