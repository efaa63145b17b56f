# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The mean of a map over what was measured."""

import torch
from torch import Tensor


def masked_mean(maps: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over measured dates and places, in float32 also under autocast.

    Args:
        maps: (B, T, C, h, w).
        places: bool (B, T, h, w).

    Returns:
        Features (B, C), 0 where nothing was measured, and bool (B,).
    """
    precise = torch.promote_types(maps.dtype, torch.float32)
    with torch.autocast(maps.device.type, enabled=False):
        weight = places.to(precise)
        total = weight.sum((1, 2, 3))
        mean = torch.einsum('bthw,btchw->bc', weight, maps.to(precise))
    return mean / total.clamp(min=1)[:, None], total > 0
