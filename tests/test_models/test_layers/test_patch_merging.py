# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Adaptive patch merging: merge mode, keep mode and their relation."""

import pytest
import torch

from mmskysense.models.layers import AdaptivePatchMerging


@pytest.mark.parametrize('size', [(4, 4), (3, 5), (1, 1)])
def test_keep_is_a_quarter_of_merge_on_a_replicated_map(size) -> None:
    torch.manual_seed(0)
    merging = AdaptivePatchMerging(16).double()
    x = torch.randn(2, *size, 16, dtype=torch.float64)
    replicated = x.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(
        4 * merging.project(x, merge=False),
        merging.project(replicated, merge=True))
    # LayerNorm's epsilon (1e-5) weighs sixteen times more on the quarter.
    merging.norm.eps = 0.0
    torch.testing.assert_close(
        merging(x, merge=False), merging(replicated, merge=True))


def test_merge_equals_timm() -> None:
    timm = pytest.importorskip('timm.models.swin_transformer_v2')
    theirs = timm.PatchMerging(32)
    ours = AdaptivePatchMerging(32)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for size in ((8, 6), (7, 5)):
        x = torch.randn(2, *size, 32)
        torch.testing.assert_close(ours(x, merge=True), theirs(x))


def test_both_modes_train_the_same_weight() -> None:
    merging = AdaptivePatchMerging(8)
    assert [name for name, _ in merging.named_parameters()] == [
        'reduction.weight', 'norm.weight', 'norm.bias']
    for merge in (True, False):
        merging.zero_grad()
        merging.project(torch.randn(1, 4, 4, 8), merge).sum().backward()
        assert merging.reduction.weight.grad.abs().sum() > 0


def test_shapes() -> None:
    merging = AdaptivePatchMerging(8)
    x = torch.randn(2, 5, 7, 8)
    assert merging(x, merge=True).shape == (2, 3, 4, 16)
    assert merging(x, merge=False).shape == (2, 5, 7, 16)
