# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Blocks of stages 1-2: Swin Transformer V2.

Source: Liu et al., Swin Transformer V2, CVPR 2022, arXiv 2111.09883. Parity
with timm's blocks (same parameter names) is a test.
"""

import math

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.drop import DropPath
from torch import Tensor, nn

from .attention import attend
from .feed_forward import FeedForward

# Queries and keys shorter than this are not stretched to unit length. With
# torch's default of 1e-12, the gradient of an all but empty patch (nodata is
# zero everywhere) is larger than that of all the others by magnitudes.
_SHORTEST = 1e-4


class LogSpacedPositionBias(nn.Sequential):
    """Continuous relative position bias on log-spaced coordinates.

    The bias of a window depends on the parameters alone, so without a
    gradient to compute it is computed once and kept until a parameter
    changes. A change behind autograd's back (through ``.data``, as mmengine's
    EMAHook swaps weights) is noticed at the next ``train()`` or ``eval()``.

    Args:
        window_size: Tokens along a side of the window.
        num_heads: Attention heads.
    """

    def __init__(self, window_size: int, num_heads: int) -> None:
        super().__init__(
            nn.Linear(2, 512), nn.ReLU(inplace=True),
            nn.Linear(512, num_heads, bias=False))
        self.window_size = window_size
        self._cached: Tensor | None = None
        self._cached_for: tuple = ()

    def _coordinates(self, device: torch.device) -> Tensor:
        """Log-spaced offsets ((2w - 1) ** 2, 2), equation 4 of the paper."""
        reach = self.window_size - 1
        offset = torch.arange(
            -reach, reach + 1, device=device, dtype=torch.float32)
        offset = offset * 8 / max(reach, 1)
        offset = offset.sign() * torch.log2(offset.abs() + 1) / math.log2(8)
        return torch.cartesian_prod(offset, offset)

    def _index(self, device: torch.device) -> Tensor:
        """Row of the table for each pair of tokens (w * w, w * w)."""
        side = torch.arange(self.window_size, device=device)
        token = torch.cartesian_prod(side, side)
        offset = token[:, None] - token[None] + self.window_size - 1
        return offset[..., 0] * (2 * self.window_size - 1) + offset[..., 1]

    def _compute(self) -> Tensor:
        device = self[0].weight.device
        # Models may be moved to float64 or bfloat16 as a whole.
        table = 16 * torch.sigmoid(super().forward(
            self._coordinates(device).to(self[0].weight.dtype)))
        return table[self._index(device)].permute(2, 0, 1).contiguous()

    def train(self, mode: bool = True) -> 'LogSpacedPositionBias':
        """Set the mode and forget what was computed."""
        self._cached = None
        return super().train(mode)

    def forward(self) -> Tensor:  # type: ignore[override]
        """The bias (num_heads, w * w, w * w), values in (0, 16)."""
        if torch.is_grad_enabled() and self[0].weight.requires_grad:
            return self._compute()
        weights = list(self.parameters())
        # In-place changes (optimiser, load_state_dict) raise the version.
        state = (*((id(w), w._version, w.device) for w in weights),
                 torch.is_autocast_enabled(weights[0].device.type),
                 torch.is_inference_mode_enabled())
        if self._cached is None or self._cached_for != state:
            self._cached, self._cached_for = self._compute(), state
        return self._cached


class WindowAttention(nn.Module):
    """Scaled cosine attention within windows.

    Args:
        embed_dims: Width.
        num_heads: Attention heads.
        window_size: Tokens along a side of the window.
    """

    def __init__(self, embed_dims: int, num_heads: int,
                 window_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.logit_scale = nn.Parameter(
            torch.full((num_heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = LogSpacedPositionBias(window_size, num_heads)
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims))
        self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, size: tuple[int, int],
                separated: Tensor | None = None) -> Tensor:
        """Attend within each window.

        Args:
            x: Windows (N, num_windows, L, embed_dims), L = rows * columns.
            size: Rows and columns of a window, at most ``window_size``.
            separated: bool (num_windows, L, L), true where two tokens of a
                window must not see each other; ``None``: all do.

        Returns:
            Windows of the same shape.
        """
        num_images, num_windows, length, _ = x.shape
        bias = torch.cat(
            (self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias)
        qkv = qkv.unflatten(3, (3, self.num_heads, -1))
        # (3, N, windows, heads, L, head_dims)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        scale = self.logit_scale.clamp(max=math.log(100.0)).exp()
        query = _unit(query, scale)
        key = _unit(key)
        mask = self._bias(*size).to(value.dtype)
        if separated is None:
            # Windows join the batch: one bias for all of them.
            query, key, value = (
                t.flatten(0, 1) for t in (query, key, value))
            mask = mask[None]
        else:
            # Windows join the heads: a mask per window, shared by images.
            query, key, value = (
                t.flatten(1, 2) for t in (query, key, value))
            mask = mask.masked_fill(separated[:, None], float('-inf'))
            mask = mask.flatten(0, 1)[None]
        x = attend(query, key, value, mask, scale=1.0)
        x = x.reshape(num_images, num_windows, self.num_heads, length, -1)
        return self.proj(x.transpose(2, 3).flatten(3))

    def _bias(self, rows: int, columns: int) -> Tensor:
        """Position bias (heads, L, L) of a window, whole or smaller."""
        bias = self.cpb_mlp()
        side = self.cpb_mlp.window_size
        if (rows, columns) == (side, side):
            return bias
        bias = bias.unflatten(2, (side, side)).unflatten(1, (side, side))
        bias = bias[:, :rows, :columns, :rows, :columns]
        return bias.flatten(3).flatten(1, 2)


def _unit(x: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Vectors (..., d) of length ``scale``, in the type of ``x``.

    Lengths are taken in float32; only they are, so that under autocast the
    vectors themselves stay short.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    squared = wide.square().sum(-1, keepdim=True)
    return x * (squared.clamp(min=_SHORTEST**2).rsqrt() * scale).to(x.dtype)


def separated_tokens(height: int, width: int, windows: tuple[int, int],
                     shifts: tuple[int, int],
                     device: torch.device) -> Tensor | None:
    """Which tokens of each window come from regions that do not touch.

    Regions arise from the cyclic shift and from padding up to a multiple of
    the window.

    Args:
        height: Rows of the map before padding.
        width: Columns of the map before padding.
        windows: Rows and columns of a window.
        shifts: Cyclic shift of rows and columns in tokens, 0 for none.
        device: Where to compute.

    Returns:
        bool (num_windows, L, L), L = rows * columns of a window, or ``None``
        where no pair is separated.
    """

    def regions(size: int, window: int, shift: int) -> Tensor:
        """Region of each padded and shifted coordinate along one axis."""
        padded = size + -size % window
        region = torch.zeros(padded, dtype=torch.long, device=device)
        region[size:] = 2  # padding
        if shift:
            region = region.roll(-shift)
            # What the roll brought round the end is no neighbour.
            region[padded - shift:] += 1
        return region

    if not any((*shifts, height % windows[0], width % windows[1])):
        return None
    region = (regions(height, windows[0], shifts[0])[:, None] * 4 +
              regions(width, windows[1], shifts[1])[None])
    region = region.unflatten(1, (-1, windows[1]))
    region = region.unflatten(0, (-1, windows[0]))
    region = region.transpose(1, 2).flatten(2).flatten(0, 1)
    return region[:, :, None] != region[:, None, :]


class SwinV2Block(nn.Module):
    """Window attention and feed-forward network, both with residual post-norm.

    Args:
        embed_dims: Width.
        num_heads: Attention heads.
        window_size: Tokens along a side of the window, 8 in the paper.
        shifted: Whether windows are shifted by half their size.
        drop_path_rate: Probability of skipping the branch of a sample.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: int = 8,
                 shifted: bool = False, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.window_size = window_size
        self.shift = window_size // 2 if shifted else 0
        self.attn = WindowAttention(embed_dims, num_heads, window_size)
        self.norm1 = nn.LayerNorm(embed_dims)
        self.mlp = FeedForward(embed_dims, 4 * embed_dims)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.drop_path = DropPath(drop_path_rate)
        self._separated: dict[tuple, Tensor | None] = {}

    def _attend(self, x: Tensor) -> Tensor:
        """Pad, shift, cut into windows, attend, and undo all three."""
        height, width = x.shape[1:3]
        # Along an axis that is shorter than a window, the window shrinks to
        # it (nothing to pad) and a shift would bring nothing.
        windows = (min(self.window_size, height),
                   min(self.window_size, width))
        shifts = (self.shift if height > self.window_size else 0,
                  self.shift if width > self.window_size else 0)
        x = F.pad(x, (0, 0, 0, -width % windows[1], 0, -height % windows[0]))
        if any(shifts):
            x = x.roll((-shifts[0], -shifts[1]), dims=(1, 2))
        x = x.unflatten(2, (-1, windows[1])).unflatten(1, (-1, windows[0]))
        rows, columns = x.shape[1], x.shape[3]
        x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        # Autograd refuses a mask that was made in inference mode.
        key = (height, width, x.device, torch.is_inference_mode_enabled())
        if key not in self._separated:
            if len(self._separated) >= 8:  # multi-scale training
                self._separated.clear()
            self._separated[key] = separated_tokens(height, width, windows,
                                                    shifts, x.device)
        x = self.attn(x, windows, self._separated[key])
        x = x.unflatten(2, windows).unflatten(1, (rows, columns))
        x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        if any(shifts):
            x = x.roll(shifts, dims=(1, 2))
        return x[:, :height, :width]

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N, H, W, embed_dims) to the same shape, any H and W."""
        x = x + self.drop_path(self.norm1(self._attend(x)))
        return x + self.drop_path(self.norm2(self.mlp(x)))
