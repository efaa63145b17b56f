# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Resampling of maps that have holes."""

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-6


def place_validity(valid: Tensor, size: tuple[int, int]) -> Tensor:
    """Which places of a coarser map saw at least one measured pixel.

    A place is a square of ``stride`` pixels; the last ones of a side that is
    no multiple of it are cut off, as the encoder pads at the right and the
    bottom.

    Args:
        valid: bool (M, H, W), pixels.
        size: Height and width (h, w) of the map.

    Returns:
        bool (M, h, w).
    """
    pixels = tuple(valid.shape[-2:])
    if pixels == tuple(size):
        return valid
    strides = [_stride(*side) for side in zip(pixels, size, strict=True)]
    measured = valid[:, None].float()
    if None in strides:
        return F.adaptive_max_pool2d(measured, size)[:, 0] > 0
    return F.max_pool2d(measured, strides, ceil_mode=True)[:, 0] > 0


def _stride(pixels: int, places: int) -> int | None:
    """Pixels a place, so that ceil(pixels / stride) = places.

    The encoder's strides are 4, 8, 16 and so on, of which one at most fits
    two places or more. Otherwise the smallest stride; None where there is no
    whole one, as for a finer map.
    """
    smallest = -(-pixels // places)
    stride = 4
    while stride < smallest:
        stride *= 2
    for candidate in (stride, smallest):
        if -(-pixels // candidate) == places:
            # A single place is all of the side, however long its stride.
            return min(candidate, pixels)
    return None


def _overlap(source: int, target: int, like: Tensor) -> Tensor:
    """Share of each of ``source`` places in each of ``target`` places.

    Returns:
        (target, source) of the type and device of ``like``; rows sum to 1.
    """
    ratio = source / target
    exact = dict(dtype=torch.float64, device=like.device)
    start = torch.arange(target, **exact)[:, None] * ratio
    place = torch.arange(source, **exact)[None]
    shared = torch.minimum(start + ratio, place + 1) - torch.maximum(
        start, place)
    return (shared.clamp(min=0) / ratio).to(like.dtype)


def area_mean(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean over the area of each place of another grid, exact for any ratio.

    Adaptive pooling, where sizes are no multiples, takes whole source places
    that the target only touches.

    Args:
        maps: (M, C, h, w).
        size: Height and width of the result.

    Returns:
        Maps (M, C, *size).
    """
    height, width = maps.shape[-2:]
    if not (height % size[0] or width % size[1]):
        return F.avg_pool2d(maps, (height // size[0], width // size[1]))
    rows = _overlap(height, size[0], maps)
    columns = _overlap(width, size[1], maps)
    return rows @ maps @ columns.T


def masked_resize(maps: Tensor, valid: Tensor | None, size: tuple[int, int],
                  mode: str = 'bilinear') -> tuple[Tensor, Tensor | None]:
    """Resample maps; places that were not measured leave no trace.

    Finer grids by interpolation, coarser ones by the area's mean.
    Interpolation weighs each source place by its validity and divides by the
    weights' sum, so the border of a hole is not mixed with what is inside.

    Args:
        maps: (M, C, h, w).
        valid: bool (M, h, w); None means everywhere.
        size: Height and width of the result.
        mode: ``'bilinear'`` or ``'nearest'``, for finer grids.

    Returns:
        Maps (M, C, *size) and their validity, bool (M, *size) or None.
    """
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps, valid

    def resize(x: Tensor) -> Tensor:
        if size[0] < x.shape[-2] or size[1] < x.shape[-1]:
            return area_mean(x, size)
        options = {} if mode == 'nearest' else dict(align_corners=False)
        return F.interpolate(x, size, mode=mode, **options)

    if valid is None:
        return resize(maps), None
    weight = valid[:, None].to(maps.dtype)
    total = resize(weight)
    resized = resize(maps * weight) / total.clamp(min=_TINY)
    return resized, total[:, 0] > _TINY
