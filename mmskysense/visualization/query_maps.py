# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Where the queries of QSACL look."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .feature_colours import resize_nearest


@torch.no_grad()
def query_attention(model: nn.Module, fused: Tensor) -> Tensor:
    """Attention of the teacher's queries over a fused map.

    Args:
        model: :class:`SkySenseV2Pretrainer`.
        fused: Fused maps (N, D, h, w) of the teacher.

    Returns:
        float32 (N, m, h, w), each map sums to 1.
    """
    head: Any = model.teacher['qsacl_head']  # type: ignore[index]
    return head(fused, True)[1].float()


def relative_to_uniform(attention: Tensor) -> Tensor:
    """Attention as a multiple of looking everywhere alike.

    Args:
        attention: (..., h, w), maps sum to 1.

    Returns:
        (..., h, w), 1 = as much as an even look would give.
    """
    return attention * attention.shape[-1] * attention.shape[-2]


def paint_attention(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Attention as light over a darkened picture.

    The scale goes from the map's own lowest to its highest value, so print
    the range beside it: in a short training it can be narrow.

    Args:
        image: uint8 (H, W, 3).
        attention: float (h, w).

    Returns:
        uint8 (H, W, 3).
    """
    low, high = float(attention.min()), float(attention.max())
    unit = (attention - low) / ((high - low) or 1.0)
    size = (image.shape[0], image.shape[1])
    light = torch.nn.functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(unit))[None, None].float(),
        size=size, mode='bilinear', align_corners=False)[0, 0].numpy()
    grey = image.mean(axis=2, keepdims=True) * 0.55
    glow = light[..., None] * np.array([255.0, 176.0, 40.0])
    return (grey * (1 - 0.55 * light[..., None]) + 0.8 * glow
            ).clip(0, 255).astype(np.uint8)


def favourite_query(attention: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Which query looks at a place more than it looks on average.

    Args:
        attention: (m, h, w).
        size: Height and width of the result.

    Returns:
        int64 (H, W), index of the query.
    """
    relative = relative_to_uniform(attention)
    return resize_nearest(relative.argmax(0).numpy(), size)
