# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Stages 1-2 against timm's Swin Transformer V2, weights copied over."""

import pytest
import torch

from mmskysense.models.layers.swin_v2 import (
    LogSpacedPositionBias,
    SwinV2Block,
    separated_tokens,
)

timm = pytest.importorskip('timm.models.swin_transformer_v2')


def _randomise(module: torch.nn.Module) -> None:
    """Norms start at zero in Swin V2; a parity test needs live branches."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)


@pytest.mark.parametrize('shifted', [False, True])
@pytest.mark.parametrize('size', [(8, 8), (16, 16), (24, 16), (8, 24)])
def test_block_equals_timm(size: tuple[int, int], shifted: bool) -> None:
    theirs = timm.SwinTransformerV2Block(
        dim=64, input_resolution=size, num_heads=2, window_size=8,
        shift_size=4 if shifted else 0).eval()
    ours = SwinV2Block(64, 2, window_size=8, shifted=shifted).eval()
    _randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, *size, 64)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('stage', [0, 1])
def test_stage_of_backbone_equals_timm(stage: int) -> None:
    from mmskysense import SkySenseV2
    ours = SkySenseV2('small').eval().stages[stage]
    width, heads = 96 * 2**stage, 3 * 2**stage
    theirs = timm.SwinTransformerV2Stage(
        dim=width, out_dim=width, input_resolution=(32, 32), depth=2,
        num_heads=heads, window_size=8, downsample=False).eval()
    _randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    # In float64, since rounding depends on the CPU; timm's table of
    # offsets is a float32 one.
    ours, theirs = ours.double(), theirs.double()
    x = torch.randn(1, 32, 32, width, dtype=torch.float64)
    torch.testing.assert_close(
        ours(x, 'hr_rgb', 1.0), theirs(x), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize('shifted', [False, True])
@pytest.mark.parametrize('size', [(5, 9), (13, 8), (1, 1), (4, 4), (17, 23)])
def test_padding_takes_no_part(size: tuple[int, int], shifted: bool) -> None:
    """A token's output depends on no value that padding could have had.

    The same map computed by attention over explicit neighbours, window by
    window, without any padding.
    """
    torch.manual_seed(1)
    block = SwinV2Block(32, 2, window_size=8, shifted=shifted).eval()
    _randomise(block)
    x = torch.randn(1, *size, 32)
    height, width = size
    shift_y = 4 if shifted and height > 8 else 0
    shift_x = 4 if shifted and width > 8 else 0
    bias = block.attn.cpb_mlp()
    attention = block.attn
    qkv_bias = torch.cat((attention.q_bias,
                          torch.zeros_like(attention.v_bias),
                          attention.v_bias))
    qkv = torch.nn.functional.linear(x, attention.qkv.weight, qkv_bias)
    out = torch.zeros(1, height, width, 32)
    edges = []
    for length, shift in ((height, shift_y), (width, shift_x)):
        starts = sorted({0, *range(shift, length, 8)})
        edges.append(list(zip(starts, [*starts[1:], length], strict=True)))
    scale = attention.logit_scale.clamp(max=torch.tensor(100.).log()).exp()
    for y0, y1 in edges[0]:
        for x0, x1 in edges[1]:
            # Where in its window of 64 tokens each neighbour stands.
            ys = (torch.arange(y0, y1) - shift_y) % 8
            xs = (torch.arange(x0, x1) - shift_x) % 8
            slot = (ys[:, None] * 8 + xs[None]).flatten()
            part = qkv[0, y0:y1, x0:x1].reshape(-1, 3, 2, 16)
            query, key, value = part.permute(1, 2, 0, 3)
            logits = (torch.nn.functional.normalize(query, dim=-1)
                      @ torch.nn.functional.normalize(key, dim=-1).mT) * scale
            logits = logits + bias[:, slot][:, :, slot]
            result = logits.softmax(-1) @ value
            out[0, y0:y1, x0:x1] = result.transpose(0, 1).reshape(
                y1 - y0, x1 - x0, 32)
    expected = x + block.norm1(attention.proj(out))
    expected = expected + block.norm2(block.mlp(expected))
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_position_bias_is_computed_once_without_gradient() -> None:
    bias = LogSpacedPositionBias(8, 2)
    with torch.no_grad():
        first = bias()
        assert bias() is first
        bias[0].weight.add_(0.5)  # as an optimiser or a checkpoint does
        assert bias() is not first
    assert bias().requires_grad


def test_position_bias_survives_inference_mode() -> None:
    bias = LogSpacedPositionBias(8, 2)
    with torch.inference_mode():
        inside = bias()
    with torch.no_grad():
        torch.testing.assert_close(bias(), inside)
    bias().sum().backward()
    assert bias[2].weight.grad is not None


def test_no_mask_where_none_is_needed() -> None:
    device = torch.device('cpu')
    assert separated_tokens(16, 8, (8, 8), (0, 0), device) is None
    assert separated_tokens(16, 8, (8, 8), (4, 0), device) is not None
    assert separated_tokens(15, 8, (8, 8), (0, 0), device) is not None
