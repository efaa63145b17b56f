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

from collections.abc import Sequence

import numpy as np
import torch

# Weights are float32; below this an output pixel sees only measured pixels.
_FULL = 1 - 1e-4


def _hat_integral(t: np.ndarray) -> np.ndarray:
    """Integral of max(0, 1 - abs(s)) over s from minus infinity to t.

    Works in place: for small tiles the time goes into the number of calls.
    """
    np.maximum(t, -1.0, out=t)
    np.minimum(t, 1.0, out=t)
    return 0.5 + t - 0.5 * t * np.abs(t)


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
    footprint = (stop - start) / size
    first = int(np.floor(start - 0.5))
    last = int(np.ceil(stop - 0.5)) + 1
    edges = np.arange(size + 1) * footprint + (start - first - 0.5)
    cumulative = _hat_integral(
        np.subtract.outer(edges, np.arange(last - first)))
    # Hats add up to 1 everywhere, so the rows sum to 1.
    weights = (cumulative[1:] - cumulative[:-1]) / footprint
    before, after = max(0, -first), max(0, last - length)
    stop_column = last - first - after
    if before:
        weights[:, before] += weights[:, :before].sum(axis=1)
    if after:
        weights[:, stop_column - 1] += weights[:, stop_column:].sum(axis=1)
    inside = weights[:, before:stop_column]
    return inside.astype(np.float32), first + before


def resample_box(images: np.ndarray, valid: np.ndarray,
                 box: tuple[float, float, float, float], size: int,
                 flip: Sequence[bool] = (False, False)
                 ) -> tuple[np.ndarray, np.ndarray]:
    """Resample a box to a square, and flip it.

    Args:
        images: float32 (T, C, H, W).
        valid: bool (T, H, W).
        box: x0, y0, x1, y1 as fractions of the image, y downwards.
        size: Side of the result in pixels.
        flip: Whether to flip horizontally and vertically afterwards.

    Returns:
        float32 (T, C, size, size), 0 where not valid, and bool (T, size,
        size), True only where every input pixel that contributes was
        measured.
    """
    height, width = images.shape[-2:]
    x0, y0, x1, y1 = box
    across, left = resampling_weights(width, x0 * width, x1 * width, size)
    down, top = resampling_weights(height, y0 * height, y1 * height, size)
    # Flipped weights give flipped pixels, without a copy of them.
    across = across[::-1].copy() if flip[0] else across
    down = down[::-1].copy() if flip[1] else down
    rows = slice(top, top + down.shape[1])
    columns = slice(left, left + across.shape[1])
    window, mask = images[..., rows, columns], valid[..., rows, columns]
    everything = bool(mask.all())
    if not everything:
        window = np.where(mask[:, None], window, np.float32(0))
    result = _weighted(down, window, across)
    if everything:
        return result, np.ones((len(images), size, size), dtype=bool)
    seen = mask.astype(np.float32)
    whole = _weighted(down, seen, across) >= _FULL
    return np.where(whole[:, None], result, np.float32(0)), whole


def _weighted(down: np.ndarray, window: np.ndarray,
              across: np.ndarray) -> np.ndarray:
    """down @ window @ across.T for all leading axes of the window.

    torch and not numpy: its threads keep to one in a data loader's worker.
    """
    source = torch.from_numpy(np.ascontiguousarray(window))
    rows = torch.mm(
        source.view(-1, source.shape[-1]), torch.from_numpy(across).T)
    stack = rows.view(-1, source.shape[-2], len(across))
    result = torch.matmul(torch.from_numpy(down), stack)
    return result.view(*source.shape[:-2], len(down), len(across)).numpy()


def nearest_box(labels: np.ndarray, box: tuple[float, float, float, float],
                size: int) -> np.ndarray:
    """Cut a box out of a label map, nearest neighbour.

    Args:
        labels: (H, W) class ids, on any grid of the same ground.
        box: x0, y0, x1, y1 as fractions of the ground, y downwards.
        size: Side of the result in pixels.

    Returns:
        (size, size) in the type of ``labels``: at each output pixel's centre
        the label pixel that holds it.
    """
    height, width = labels.shape
    x0, y0, x1, y1 = box
    centres = (np.arange(size) + 0.5) / size
    columns = ((x0 + centres * (x1 - x0)) * width).astype(int)
    rows = ((y0 + centres * (y1 - y0)) * height).astype(int)
    # Rounding at the box's far edge must not step over the map's.
    return labels[np.minimum(rows, height - 1)[:, None],
                  np.minimum(columns, width - 1)]
