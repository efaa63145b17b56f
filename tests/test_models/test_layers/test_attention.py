# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Attention equals torch's own, forward and backward, on every path."""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from mmskysense.models.layers import attend


def _inputs(dtype: torch.dtype, keys: int = 7) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, 3, length, 8, generator=generator,
                    dtype=torch.float64).to(dtype).requires_grad_()
        for length in (5, keys, keys)
    ]


def _mask(kind: str, dtype: torch.dtype) -> torch.Tensor | None:
    if kind == 'none':
        return None
    values = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1))
    if kind == 'bool':
        mask = values > 0
        mask[..., 0] = True  # every query needs a key
        return mask[None]
    values = values[None].to(dtype)
    if kind == 'blocked':
        values = values.masked_fill(values > 1, float('-inf'))
    return values.requires_grad_(kind != 'fixed')


def _reference(query, key, value, mask, scale):
    """Softmax attention written out, in double precision."""
    scale = query.shape[-1]**-0.5 if scale is None else scale
    scores = torch.einsum('bhld,bhsd->bhls', query, key) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, float('-inf')) \
            if mask.dtype == torch.bool else scores + mask
    return torch.einsum('bhls,bhsd->bhld', scores.softmax(-1), value)


@pytest.mark.parametrize('scale', [None, 1.0, 0.3])
@pytest.mark.parametrize('kind', ['none', 'bool', 'fixed', 'learned',
                                  'blocked'])
@pytest.mark.parametrize(('dtype', 'tolerance'), [
    (torch.float64, 1e-10), (torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_values_and_gradients(dtype, tolerance, kind, scale):
    given = _inputs(dtype)
    mask = _mask(kind, dtype)
    exact = [x.detach().double().requires_grad_() for x in given]
    exact_mask = mask
    if mask is not None and mask.is_floating_point():
        exact_mask = mask.detach().double().requires_grad_(
            mask.requires_grad)
    result = attend(*given, mask, scale)
    expected = _reference(*exact, exact_mask, scale)
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, atol=tolerance,
                               rtol=tolerance)
    leaves, exact_leaves = list(given), list(exact)
    if exact_mask is not None and exact_mask.requires_grad:
        leaves, exact_leaves = [*given, mask], [*exact, exact_mask]
    weight = torch.randn(result.shape, dtype=torch.float64,
                         generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad((result.double() * weight).sum(), leaves)
    wanted = torch.autograd.grad((expected * weight).sum(), exact_leaves)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.double(), b, atol=2 * tolerance,
                                   rtol=2 * tolerance)


def test_without_gradient_it_is_the_fused_kernel():
    query, key, value = _inputs(torch.bfloat16)
    with torch.no_grad(), mock.patch.object(
            F, 'scaled_dot_product_attention',
            wraps=F.scaled_dot_product_attention) as fused:
        result = attend(query, key, value)
    assert fused.call_args.args[0] is query
    assert result.dtype == torch.bfloat16


def test_autocast_does_not_shorten_what_was_widened():
    query, key, value = _inputs(torch.bfloat16)
    with torch.autocast('cpu', torch.bfloat16), mock.patch.object(
            F, 'scaled_dot_product_attention',
            wraps=F.scaled_dot_product_attention) as fused:
        attend(query, key, value)
    assert fused.call_args.args[0].dtype == torch.float32
