# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Radiometric augmentation of a batch of views, where the model is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mmskysense.sensors import Unit, get_sensor

from .radiometric_jitter import LUMA, RadiometricJitter

_REACH = 3  # pixels on either side of the blur's kernel


class BatchedRadiometricJitter:
    """:class:`RadiometricJitter` for views of a batch, with one set of draws.

    Every view and date is varied on its own, by the same changes in the same
    order; pixels that were not measured stay 0. Nothing waits for the
    device.

    Args:
        prob: See :class:`RadiometricJitter`.
        options: See :class:`RadiometricJitter`.
    """

    def __init__(
            self,
            prob: float = 0.8,
            options: Mapping[str, Mapping[str, float] | None] | None = None
    ) -> None:
        # One set of checks and of strengths for both.
        self.one = RadiometricJitter(prob, options)

    def __call__(self, name: str, images: Tensor, valid: Tensor) -> Tensor:
        """Vary views of one sensor.

        Args:
            name: The sensor.
            images: float32 (..., C, H, W) in file units.
            valid: bool (..., H, W).

        Returns:
            Views of the same shape, 0 where not valid.
        """
        strength = self.one.strength(name)
        if strength is None:
            return images
        shape = images.shape
        flat = images.reshape(-1, *shape[-3:])
        seen = valid.reshape(-1, 1, *shape[-2:]).to(flat.dtype)
        change = {
            Unit.DIGITAL_NUMBER_8BIT: _vary_digital_numbers,
            Unit.REFLECTANCE_X10000: _vary_reflectance,
            Unit.DECIBEL: _vary_backscatter,
        }[get_sensor(name).unit]
        varied = change(flat, seen, strength)
        chosen = _draw(flat, len(flat)) < self.one.prob
        return (torch.where(chosen, varied, flat) * seen).view(shape)

    def __repr__(self) -> str:
        return f'Batched{self.one}'


def _draw(like: Tensor, number: int, channels: int = 1) -> Tensor:
    """Uniform in [0, 1), (number, channels, 1, 1)."""
    return torch.rand(number, channels, 1, 1, device=like.device)


def _around_one(like: Tensor, strength: float, channels: int = 1) -> Tensor:
    """Factors, (number, channels, 1, 1)."""
    return 1 + strength * (2 * _draw(like, len(like), channels) - 1)


def _vary_digital_numbers(image: Tensor, seen: Tensor,
                          strength: Mapping[str, float]) -> Tensor:
    image = image * _around_one(image, strength['brightness'])
    if strength['band_gain']:
        image = image * _around_one(image, strength['band_gain'],
                                    image.shape[1])
    middle = (image * seen).sum((2, 3), keepdim=True) / seen.sum(
        (2, 3), keepdim=True).clamp(min=1)
    image = (image - middle) * _around_one(image, strength['contrast'])
    image = (image + middle).clamp(0, 255)
    if strength['gamma']:
        image = 255 * (image / 255)**_around_one(image, strength['gamma'])
    if image.shape[1] == 3 and strength['grayscale_prob']:
        luma = torch.as_tensor(LUMA, device=image.device).view(1, 3, 1, 1)
        grey = (image * luma).sum(1, keepdim=True).expand_as(image)
        chosen = _draw(image, len(image)) < strength['grayscale_prob']
        image = torch.where(chosen, grey, image)
    return _maybe_blur(image, seen, strength['blur_prob'])


def _vary_reflectance(image: Tensor, seen: Tensor,
                      strength: Mapping[str, float]) -> Tensor:
    image = image * (_around_one(image, strength['gain']) *
                     _around_one(image, strength['band_gain'],
                                 image.shape[1]))
    image = image + strength['offset'] * (2 * _draw(image, len(image)) - 1)
    return _maybe_blur(image, seen, strength['blur_prob'])


def _vary_backscatter(image: Tensor, seen: Tensor,
                      strength: Mapping[str, float]) -> Tensor:
    shift = strength['shift'] * (2 * _draw(image, len(image)) - 1)
    return image + shift + torch.randn_like(image) * strength['speckle']


def _maybe_blur(image: Tensor, seen: Tensor, prob: float) -> Tensor:
    """Gaussian blur of 0.3 to 1.2 pixels that leaves unmeasured pixels out."""
    if not prob:
        return image
    number = len(image)
    sigma = 0.3 + 0.9 * _draw(image, number).view(number, 1)
    offset = torch.arange(-_REACH, _REACH + 1, device=image.device)
    taps = (-0.5 * (offset / sigma)**2).exp()
    taps = taps / taps.sum(1, keepdim=True)
    # An image that is not blurred has a kernel of one pixel.
    taps = torch.where(
        _draw(image, number).view(number, 1) < prob, taps,
        (offset == 0).float())
    stack = torch.cat((image * seen, seen), dim=1)
    # Each image has a kernel of its own: images are groups of a convolution.
    bands, side = stack.shape[1], stack.shape[2:]
    stack = stack.transpose(0, 1)  # (bands, images, H, W)
    with torch.autocast(image.device.type, enabled=False):
        stack = F.conv2d(stack, taps.view(number, 1, 1, -1),
                         padding=(0, _REACH), groups=number)
        stack = F.conv2d(stack, taps.view(number, 1, -1, 1),
                         padding=(_REACH, 0), groups=number)
    stack = stack.view(bands, number, *side).transpose(0, 1)
    return stack[:, :-1] / stack[:, -1:].clamp(min=1e-6)
