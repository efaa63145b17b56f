# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Scaled dot-product attention by the way that suits the device."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(query: Tensor, key: Tensor, value: Tensor,
           mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    """softmax(query key^T * scale + mask) value.

    torch's fused kernel everywhere but in two cases of training on a CPU,
    where torch 2.11 has no good one (``tools/benchmarks/attention.py``):

    - A mask with a gradient (a learned position bias) leaves torch with an
      unfused path that guards against rows without any key and, in
      bfloat16, computes twice. Here the softmax is written out.
    - The backward kernel of bfloat16 is several times slower than that of
      float32, which is taken instead.

    Args:
        query: (..., heads, L, d).
        key: (..., heads, S, d).
        value: (..., heads, S, d).
        mask: Added to the scores, broadcast to (..., heads, L, S); or bool,
            True where a token may be attended to. Every query needs a key.
        scale: Of the scores; d ** -0.5 by default.

    Returns:
        (..., heads, L, d) of the type of ``value``.
    """
    learns = torch.is_grad_enabled() and query.requires_grad
    wide = torch.promote_types(query.dtype, torch.float32)
    if query.device.type == 'cpu' and learns:
        if mask is not None and mask.requires_grad:
            factor = query.shape[-1]**-0.5 if scale is None else scale
            scores = (query * factor) @ key.transpose(-2, -1) + mask
            return scores.softmax(-1, dtype=wide).to(value.dtype) @ value
        if query.dtype != wide:
            with torch.autocast('cpu', enabled=False):
                if mask is not None and mask.is_floating_point():
                    mask = mask.to(wide)
                return F.scaled_dot_product_attention(
                    query.to(wide), key.to(wide), value.to(wide), mask,
                    scale=scale).to(value.dtype)
    return F.scaled_dot_product_attention(query, key, value, mask,
                                          scale=scale)
