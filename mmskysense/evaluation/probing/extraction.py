# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Features of a whole set of images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def extract_features(encoder: nn.Module,
                     batches: Iterable[Tensor],
                     device: str | torch.device = 'cpu',
                     bfloat16: bool = False,
                     inference_mode: bool = True) -> dict[str, Tensor]:
    """Pass all batches through a frozen encoder.

    Args:
        encoder: From images (B, C, H, W) to name -> features (B, D), such
            as :class:`FeatureEncoder`; on ``device``, in evaluation mode.
        batches: Of normalised images.
        device: Where the encoder runs.
        bfloat16: Run it in bfloat16 (autocast); features are float32 either
            way.
        inference_mode: Faster. False for an encoder that is in training:
            what it caches in inference mode could not be used in autograd.

    Returns:
        Name -> float32 (N, D) on the CPU, in the order of the images.

    Raises:
        ValueError: No image.
    """
    device = torch.device(device)
    found: dict[str, list[Tensor]] = {}
    without_gradients = torch.inference_mode if inference_mode \
        else torch.no_grad
    for images in batches:
        with without_gradients(), torch.autocast(
                device.type, torch.bfloat16, enabled=bfloat16):
            features = encoder(images.to(device, non_blocking=True))
        for name, value in features.items():
            found.setdefault(name, []).append(value.float())
    if not found:
        raise ValueError('there is no image to extract features of')
    # One copy for all batches: the device never waits in the loop.
    return {name: torch.cat(values).cpu() for name, values in found.items()}
