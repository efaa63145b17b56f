# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Hidden features standardised by the batch, against torch and by hand."""

import pytest
import torch
from torch import nn

from mmskysense.models.pretrain import (
    ImageContrast,
    ProjectionHead,
    QSACLHead,
    standardise_by_batch,
)
from mmskysense.registry import MODELS

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')


def test_equals_batch_normalisation_without_scale_and_shift():
    x = torch.randn(12, 5) * 3 + 7
    expected = nn.BatchNorm1d(5, affine=False)(x)
    torch.testing.assert_close(
        standardise_by_batch(x, torch.ones(12)), expected)
    views = standardise_by_batch(x.view(3, 4, 5), torch.ones(3, 4))
    torch.testing.assert_close(views.flatten(0, 1), expected)


def test_queries_have_statistics_of_their_own():
    x = torch.randn(8, 3, 5) + 10 * torch.arange(3.0)[:, None]
    result = standardise_by_batch(x, torch.ones(8))
    for query in range(3):
        torch.testing.assert_close(
            result[:, query],
            standardise_by_batch(x[:, query].contiguous(), torch.ones(8)))
    torch.testing.assert_close(result.mean(0), torch.zeros(3, 5),
                               rtol=0, atol=1e-5)


def test_weight_zero_is_absence():
    x = torch.randn(7, 4)
    weight = torch.tensor([1, 0, 1, 1, 0, 1, 1]).bool()
    x[1] = 1e6
    torch.testing.assert_close(
        standardise_by_batch(x, weight)[weight],
        standardise_by_batch(x[weight], torch.ones(5)))


@pytest.mark.parametrize('weight', [[0, 0, 1], [0, 0, 0]])
def test_one_sample_and_none_stay_as_they_are(weight):
    x = torch.randn(3, 4)
    assert torch.equal(standardise_by_batch(x, torch.tensor(weight)), x)
    assert standardise_by_batch(x[:0], torch.ones(0)).shape == (0, 4)


def test_gradient_equals_that_of_batch_normalisation():
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(6, 4, dtype=torch.float64)
    (standardise_by_batch(x, torch.ones(6)) * direction).sum().backward()
    other = x.detach().clone().requires_grad_()
    norm = nn.BatchNorm1d(4, affine=False, dtype=torch.float64)
    (norm(other) * direction).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)


def test_bfloat16_keeps_its_type_and_its_mean():
    x = (torch.randn(64, 4) + 30).bfloat16()
    result = standardise_by_batch(x, torch.ones(64))
    assert result.dtype == torch.bfloat16
    assert result.float().mean(0).abs().max() < 0.02


@pytest.mark.parametrize('batch_norm', [False, True])
def test_head_with_both_hidden_layers_standardised(batch_norm):
    head = ProjectionHead(6, 5, 8, 4, batch_norm=batch_norm)
    x = torch.randn(10, 6)
    hidden = x
    for layer in head.mlp:
        if isinstance(layer, nn.GELU) and batch_norm:
            hidden = nn.BatchNorm1d(8, affine=False)(hidden)
        hidden = layer(hidden)
    expected = nn.functional.normalize(hidden, dim=-1) @ \
        nn.functional.normalize(head.prototypes, dim=-1).T
    torch.testing.assert_close(head(x), expected)


def test_alike_features_give_cosines_that_differ():
    # Why the option exists: a large common part, small differences.
    x = torch.randn(32, 64) * 0.01 + torch.randn(64)
    spread = {}
    for batch_norm in (False, True):
        head = ProjectionHead(64, 16, 128, 32, batch_norm=batch_norm)
        spread[batch_norm] = head(x).std(0).mean().item()
    assert spread[True] > 10 * spread[False]


def test_heads_leave_out_what_was_not_measured():
    features, seen = torch.randn(2, 4, 6), torch.ones(2, 4).bool()
    seen[0, 1] = False
    head = ImageContrast(dict(fused=6), num_prototypes=5, hidden_channels=8,
                         bottleneck_channels=4, batch_norm=True)
    other = features.clone()
    other[0, 1] = 100.0
    torch.testing.assert_close(
        head(dict(fused=features), dict(fused=seen))['fused'][seen],
        head(dict(fused=other), dict(fused=seen))['fused'][seen])

    queries = QSACLHead(8, 3, num_heads=2, num_prototypes=5,
                        hidden_channels=8, bottleneck_channels=4,
                        batch_norm=True)
    maps, seen = torch.randn(5, 8, 2, 2), torch.tensor([1, 1, 0, 1, 1]).bool()
    other = maps.clone()
    other[2] = 50.0
    torch.testing.assert_close(queries(maps, weight=seen)[0][seen],
                               queries(other, weight=seen)[0][seen])
    torch.testing.assert_close(queries(maps)[0],
                               queries(maps, weight=torch.ones(5))[0])


def test_a_tile_that_measured_nothing_changes_no_term(parts):
    config = parts.whole(SENSORS, batch_norm=True)
    config['max_places'] = 10_000  # all, as the draw is random
    model = MODELS.build(config)
    model.init_weights()
    model.eval()  # geo-context prototypes stay
    inputs = parts.inputs(SENSORS, batch=4)
    others = {kind: parts.part_of(views, [0, 1, 3])
              for kind, views in inputs.items()}
    for views in inputs.values():
        for valid in views.valid.values():
            valid[:, 2] = False
    with torch.no_grad():
        losses = model(inputs, mode='loss')
        expected = model(others, mode='loss')
    assert len(losses) == 6
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-4, atol=1e-5,
                                   msg=lambda m, n=name: f'{n}: {m}')
