# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Patch embedding whose kernel follows from each band's wavelength."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Periods of the encoding in nm: the shortest tells neighbouring bands apart,
# the longest orders the whole range of optical sensors.
_SHORTEST, _LONGEST = 50.0, 25_000.0


def encode_wavelengths(wavelengths: Tensor, dims: int) -> Tensor:
    """Sines and cosines of wavelengths, periods in geometric sequence.

    Args:
        wavelengths: Centre wavelengths in nm (C,), any real dtype.
        dims: Length of an encoding, even.

    Returns:
        Encodings (C, dims), float32, in [-1, 1].
    """
    steps = torch.linspace(0, 1, dims // 2, dtype=torch.float64,
                           device=wavelengths.device)
    periods = _SHORTEST * (_LONGEST / _SHORTEST)**steps
    angles = 2 * math.pi * wavelengths.double()[:, None] / periods
    return torch.cat((angles.sin(), angles.cos()), dim=1).float()


class WavelengthTokenizer(nn.Module):
    """One tokenizer for all optical sensors: kernels come from wavelengths.

    A small network maps the encoded centre wavelength of a band to its
    kernel; a sensor's convolution has one such kernel for each of its bands
    and sums over them. All weights are shared by all sensors, so any set of
    bands works, also one that training never saw. Beyond the paper, whose
    tokenizers are one convolution for each modality (:class:`Tokenizer`).
    The idea of kernels conditioned on wavelengths is that of Xiong et al.,
    DOFA, arXiv 2403.15356; the form here is ours and simpler.

    Radar has no optical wavelength, and polarisations of one frequency would
    all get the same kernel: sensors without wavelengths are refused.

    Args:
        wavelengths: Sensor -> centre wavelengths of its bands in nm.
        embed_dims: Width of stage 1.
        patch_size: Kernel and stride in pixels.
        encoding_dims: Length of an encoded wavelength, even.
        hidden_dims: Width of the network.

    Raises:
        ValueError: A band has no wavelength, or ``encoding_dims`` is odd.
    """

    def __init__(self, wavelengths: Mapping[str, Sequence[float | None]],
                 embed_dims: int, patch_size: int = 4,
                 encoding_dims: int = 128, hidden_dims: int = 256) -> None:
        super().__init__()
        if encoding_dims < 2 or encoding_dims % 2:
            raise ValueError(f'encoding_dims={encoding_dims}: expected an '
                             'even number of at least 2')
        self.embed_dims = embed_dims
        self.patch_size = patch_size
        for sensor, bands in wavelengths.items():
            if not bands or None in bands:
                raise ValueError(
                    f"sensor '{sensor}': wavelengths {tuple(bands)}, expected "
                    'one in nm for every band; give them in the sensor '
                    "table, or use tokenizer='conv' (radar has none)")
            values = torch.tensor(bands, dtype=torch.float64)
            # Follows from the sensor table: not part of the weights.
            self.register_buffer(f'encoding_{sensor}',
                                 encode_wavelengths(values, encoding_dims),
                                 persistent=False)
        self.kernel_network = nn.Sequential(
            nn.Linear(encoding_dims, hidden_dims), nn.GELU(),
            nn.Linear(hidden_dims, hidden_dims), nn.LayerNorm(hidden_dims),
            nn.Linear(hidden_dims, embed_dims * patch_size**2))
        self.bias = nn.Parameter(torch.zeros(embed_dims))
        self.norm = nn.LayerNorm(embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Start with kernels of deviation 0.02, as a convolution's."""
        first, _, second, norm, last = self.kernel_network
        for linear in (first, second):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        norm.reset_parameters()
        nn.init.trunc_normal_(last.weight, std=0.02 / last.in_features**0.5)
        nn.init.zeros_(last.bias)
        # As of Tokenizer: a patch without data must not have a zero token.
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.norm.reset_parameters()

    def kernel(self, sensor: str) -> Tensor:
        """Kernel (embed_dims, bands, patch_size, patch_size) of a sensor."""
        encoding = self.get_buffer(f'encoding_{sensor}')
        kernels = self.kernel_network(encoding.to(self.bias.dtype))
        kernels = kernels.unflatten(
            1, (self.embed_dims, self.patch_size, self.patch_size))
        return kernels.transpose(0, 1)

    def forward(self, image: Tensor, sensor: str) -> Tensor:
        """Cut an image into patches and embed them.

        Sides that are no multiple of the patch size are padded with zeros
        (the band's mean after normalisation) at the right and the bottom.

        Args:
            image: Normalised pixels (N, bands, H, W), any H and W >= 1.
            sensor: Whose bands they are.

        Returns:
            Tokens (N, ceil(H / patch_size), ceil(W / patch_size),
            embed_dims).
        """
        height, width = image.shape[-2:]
        size = self.patch_size
        if height % size or width % size:
            image = F.pad(image, (0, -width % size, 0, -height % size))
        tokens = F.conv2d(image, self.kernel(sensor), self.bias, stride=size)
        return self.norm(tokens.permute(0, 2, 3, 1))
