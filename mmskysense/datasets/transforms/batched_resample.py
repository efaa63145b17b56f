# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Cut a box out of each image of a batch, exactly and at once."""

from __future__ import annotations

import torch
from torch import Tensor

# Weights are float32; below this an output pixel sees only measured pixels.
_FULL = 1 - 1e-4


def _hat_integral(t: Tensor) -> Tensor:
    """Integral of max(0, 1 - abs(s)) over s from minus infinity to t."""
    t = t.clamp(-1.0, 1.0)
    return 0.5 + t - 0.5 * t * t.abs()


def batched_weights(length: int, start: Tensor, stop: Tensor,
                    size: int) -> Tensor:
    """Weights of all input pixels in each output pixel, along one axis.

    The same as :func:`.exact_resample.resampling_weights`, for boxes that
    differ from image to image.

    Args:
        length: Number of input pixels.
        start: (...), left edges of the boxes in input pixels, 0 to length.
        stop: (...), right edges, larger than ``start``, up to length.
        size: Number of output pixels.

    Returns:
        float32 (..., size, length), rows summing to 1. Beyond the image its
        outermost pixels continue.
    """
    device = start.device
    footprint = ((stop - start) / size)[..., None]
    edges = start[..., None] + footprint * torch.arange(
        size + 1, device=device, dtype=start.dtype)
    # One pixel beyond either end: further ones do not reach into the image.
    centres = torch.arange(-1, length + 1, device=device,
                           dtype=start.dtype) + 0.5
    weights = _hat_integral(edges[..., None] - centres).diff(
        dim=-2) / footprint[..., None]
    inside = weights[..., 1:-1].clone()
    inside[..., 0] += weights[..., 0]
    inside[..., -1] += weights[..., -1]
    return inside


def resample_boxes(images: Tensor, valid: Tensor, boxes: Tensor, size: int,
                   flips: Tensor) -> tuple[Tensor, Tensor]:
    """Resample V boxes of each of N images to squares, and flip them.

    Bilinear between pixel centres and averaged over the output pixel's
    footprint, in closed form: two batched matrix products, on any device.

    Args:
        images: Floating point (N, T, C, H, W).
        valid: bool (N, T, H, W).
        boxes: (V, N, 4), x0, y0, x1, y1 as fractions of the image.
        size: Side of the results in pixels.
        flips: bool (V, N, 2), horizontally and vertically, after the cut.

    Returns:
        float32 (V, N, T, C, size, size), 0 where not valid, and bool (V, N,
        T, size, size), True only where every input pixel that contributes
        was measured.
    """
    channels = images.shape[2]
    height, width = images.shape[-2:]
    boxes = boxes.float()
    weights = []
    for axis, length in ((0, width), (1, height)):
        weight = batched_weights(length, boxes[..., axis] * length,
                                 boxes[..., axis + 2] * length, size)
        flipped = flips[..., axis, None, None]
        weights.append(torch.where(flipped, weight.flip(-2), weight))
    across, down = weights
    seen = valid[:, :, None].to(images.dtype)
    # The mask is one more channel.
    stack = torch.cat((images * seen, seen), dim=2).float().flatten(1, 2)
    with torch.autocast(images.device.type, enabled=False):
        # (V, N, size, H) on (N, T * C, H, W), then on the columns.
        rows = torch.einsum('vnsh,nchw->vncsw', down, stack)
        result = torch.einsum('vncsw,vntw->vncst', rows, across)
    result = result.unflatten(2, (-1, channels + 1))
    whole = result[:, :, :, -1] >= _FULL
    return result[:, :, :, :-1] * whole[:, :, :, None], whole
