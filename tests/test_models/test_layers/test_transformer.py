# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Global blocks against timm's, tokenizer and prompts."""

import pytest
import torch

from mmskysense.models.layers import (
    FeedForward,
    GlobalBlock,
    ModalityPrompts,
    Tokenizer,
)


@pytest.mark.parametrize('layer_scale', [0.0, 0.3])
def test_block_equals_timm(layer_scale: float) -> None:
    timm = pytest.importorskip('timm.models.vision_transformer')
    theirs = timm.Block(
        32, 4, qkv_bias=True, init_values=layer_scale or None).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    for norm in (theirs.norm1, theirs.norm2):
        norm.eps = 1e-5  # timm's blocks take 1e-6 from the model above
    ours = GlobalBlock(32, 4, FeedForward(32, 128), layer_scale).eval()
    weights = {
        name.replace('ls1.gamma', 'scale1.weight').replace(
            'ls2.gamma', 'scale2.weight'): value
        for name, value in theirs.state_dict().items()
    }
    ours.load_state_dict(weights, strict=True)
    x = torch.randn(2, 20, 32)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('size,tokens', [((8, 12), (2, 3)), ((1, 5), (1, 2))])
def test_tokenizer_pads_up(size, tokens) -> None:
    tokenizer = Tokenizer(2, 8)
    image = torch.randn(3, 2, *size)
    assert tokenizer(image).shape == (3, *tokens, 8)
    padded = torch.zeros(3, 2, tokens[0] * 4, tokens[1] * 4)
    padded[..., :size[0], :size[1]] = image
    torch.testing.assert_close(tokenizer(image), tokenizer(padded))


def test_prompts_come_and_go() -> None:
    prompts = ModalityPrompts(('hr_rgb', 's1_grd'), 4, 8)
    x = torch.randn(2, 6, 8)
    longer = prompts.prepend(x, 's1_grd')
    assert longer.shape == (2, 10, 8)
    torch.testing.assert_close(longer[1, :4], prompts.tokens['s1_grd'])
    torch.testing.assert_close(prompts.drop(longer), x)
