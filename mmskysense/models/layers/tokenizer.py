# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Patch embedding: what is specific to a sensor on the way in."""

import torch.nn.functional as F
from torch import Tensor, nn


class Tokenizer(nn.Module):
    """One convolution that turns a sensor's pixels into tokens.

    Source: SkySense V2, spec section 1 (kernel 4, stride 4, one per
    modality). The LayerNorm is the one of Swin V2's patch embedding.

    Args:
        num_bands: Channels of the sensor.
        embed_dims: Width of stage 1.
        patch_size: Kernel and stride in pixels.
    """

    def __init__(self, num_bands: int, embed_dims: int,
                 patch_size: int = 4) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = nn.Conv2d(
            num_bands, embed_dims, kernel_size=patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, image: Tensor) -> Tensor:
        """Cut an image into patches and embed them.

        Sides that are no multiple of the patch size are padded with zeros
        (the band's mean after normalisation) at the right and the bottom.

        Args:
            image: Normalised pixels (N, num_bands, H, W), any H and W >= 1.

        Returns:
            Tokens (N, ceil(H / patch_size), ceil(W / patch_size),
            embed_dims).
        """
        height, width = image.shape[-2:]
        pad_right, pad_bottom = (-width % self.patch_size,
                                 -height % self.patch_size)
        if pad_right or pad_bottom:
            image = F.pad(image, (0, pad_right, 0, pad_bottom))
        return self.norm(self.projection(image).permute(0, 2, 3, 1))
