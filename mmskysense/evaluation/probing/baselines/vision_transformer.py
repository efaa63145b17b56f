# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A plain vision transformer of timm."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.utils import require


class ViTFeatures(nn.Module):
    """Class token, or mean of patch tokens, of a vision transformer.

    Args:
        network: Of timm, with a class token and without a classifier.
        pooling: ``'class_token'`` or ``'mean'``.

    Raises:
        ValueError: Unknown pooling.
    """

    def __init__(self, network: nn.Module,
                 pooling: str = 'class_token') -> None:
        super().__init__()
        if pooling not in ('class_token', 'mean'):
            raise ValueError(f"pooling='{pooling}': expected 'class_token' "
                             "or 'mean'")
        self.network, self.pooling = network, pooling

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) to the pooling's name -> (N, D)."""
        tokens = self.network.forward_features(images)
        pooled = tokens[:, 0] if self.pooling == 'class_token' \
            else tokens[:, 1:].mean(1)
        return {self.pooling: pooled}


def vit_tiny(patch_size: int = 8, image_size: int = 64) -> nn.Module:
    """ViT-tiny (width 192, 12 blocks, 3 heads), random weights.

    Args:
        patch_size: In pixels.
        image_size: For which positions are learned; others interpolate.

    Raises:
        ImportError: timm is missing.
    """
    timm = require('timm', 'the vision transformer baselines')
    return timm.create_model(
        'vit_tiny_patch16_224', pretrained=False, patch_size=patch_size,
        img_size=image_size, num_classes=0, dynamic_img_size=True)


def make_vision_transformer(
    seed: int = 0,
    pooling: str = 'class_token',
    state: Mapping[str, Tensor] | None = None
) -> tuple[nn.Module, MultiSensorDataPreprocessor]:
    """ViT-tiny/8 for 64 pixels, frozen.

    Args:
        seed: Of random weights.
        pooling: See :class:`ViTFeatures`.
        state: Weights in place of random ones.

    Raises:
        ImportError: timm is missing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = vit_tiny()
    if state is not None:
        network.load_state_dict(state)
    # The table's RGB statistics are ImageNet's, which DINO uses.
    return (ViTFeatures(network, pooling).requires_grad_(False).eval(),
            MultiSensorDataPreprocessor(sensor='hr_rgb'))
