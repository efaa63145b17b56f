# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Cut a box with fractional corners out of an image, exactly.

The image is taken as bilinear between pixel centres and averaged over each
output pixel's footprint, in closed form. So a picture that is linear in the
ground coordinates stays exactly linear, at any scale and offset: what the
pixel level of contrastive learning needs to compare the same place. torch's
``interpolate`` can only cut at whole pixels, and its ``grid_sample`` takes
point samples, which alias when the image shrinks (ours).
"""

from __future__ import annotations

import numpy as np
import torch

# Weights are float32; below this an output pixel sees only measured pixels.
_FULL = 1 - 1e-4


def _hat_integral(t: np.ndarray) -> np.ndarray:
    """Integral of max(0, 1 - abs(s)) over s from minus infinity to t."""
    t = np.clip(t, -1.0, 1.0)
    return np.where(t < 0, 0.5 * (1 + t)**2, 1 - 0.5 * (1 - t)**2)


def resampling_weights(length: int, start: float, stop: float,
                       size: int) -> tuple[np.ndarray, int]:
    """Weights of input pixels in each output pixel, along one axis.

    Args:
        length: Number of input pixels.
        start: Left edge of the box in input pixels (0 = left image edge).
        stop: Right edge, larger than ``start``.
        size: Number of output pixels.

    Returns:
        float32 (size, K), rows summing to 1, for the K input pixels from
        ``first`` on; and ``first``. Beyond the image its outermost pixels
        continue.
    """
    edges = start + (stop - start) * np.arange(size + 1) / size
    footprint = (stop - start) / size
    first = int(np.floor(start - 0.5))
    last = int(np.ceil(stop - 0.5)) + 1
    centres = np.arange(first, last) + 0.5
    cumulative = _hat_integral(edges[:, None] - centres[None])
    weights = (cumulative[1:] - cumulative[:-1]) / footprint
    inner_first, inner_last = max(first, 0), min(last, length)
    folded = weights[:, inner_first - first:inner_last - first].copy()
    folded[:, 0] += weights[:, :inner_first - first].sum(axis=1)
    folded[:, -1] += weights[:, inner_last - first:].sum(axis=1)
    folded /= folded.sum(axis=1, keepdims=True)
    return folded.astype(np.float32), inner_first


def resample_box(images: np.ndarray, valid: np.ndarray,
                 box: tuple[float, float, float, float],
                 size: int) -> tuple[np.ndarray, np.ndarray]:
    """Resample a box to a square.

    Args:
        images: float32 (T, C, H, W).
        valid: bool (T, H, W).
        box: x0, y0, x1, y1 as fractions of the image, y downwards.
        size: Side of the result in pixels.

    Returns:
        float32 (T, C, size, size), 0 where not valid, and bool (T, size,
        size), True only where every input pixel that contributes was
        measured.
    """
    height, width = images.shape[-2:]
    x0, y0, x1, y1 = box
    across, left = resampling_weights(width, x0 * width, x1 * width, size)
    down, top = resampling_weights(height, y0 * height, y1 * height, size)
    rows = slice(top, top + down.shape[1])
    columns = slice(left, left + across.shape[1])
    window, mask = images[..., rows, columns], valid[..., rows, columns]
    w_down, w_across = torch.from_numpy(down), torch.from_numpy(across).T
    everything = bool(mask.all())
    if not everything:
        window = np.where(mask[:, None], window, np.float32(0))
    source = torch.from_numpy(np.ascontiguousarray(window))
    result = (w_down @ source @ w_across).numpy()
    if everything:
        return result, np.ones((len(images), size, size), dtype=bool)
    seen = torch.from_numpy(mask.astype(np.float32))
    whole = (w_down @ seen @ w_across).numpy() >= _FULL
    return np.where(whole[:, None], result, np.float32(0)), whole
