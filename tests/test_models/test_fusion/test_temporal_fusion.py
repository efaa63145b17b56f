# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""MultiModalTemporalFusion."""

from itertools import combinations

import pytest
import torch

from mmskysense.models.fusion import MultiModalTemporalFusion
from mmskysense.models.fusion.masked_resize import (
    masked_resize,
    place_validity,
)
from mmskysense.models.fusion.sequence_layer import MaskedSequenceLayer

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')
SUBSETS = [c for k in (1, 2, 3) for c in combinations(SENSORS, k)]
GRID = dict(hr_rgb=4, s2_l2a=2, s1_grd=2)
DATES = dict(hr_rgb=1, s2_l2a=3, s1_grd=2)


def build(**options):
    fusion = MultiModalTemporalFusion(
        8, **{'embed_dims': 16, 'depth': 2, 'num_heads': 2, **options})
    fusion.init_weights()
    # Larger weights than at the start, or every effect is tiny.
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return fusion.eval()


def inputs(sensors=SENSORS, batch=2):
    features = {
        s: torch.randn(batch, DATES[s], 8, GRID[s], GRID[s]) for s in sensors
    }
    dates = {s: torch.randint(1, 367, (batch, DATES[s])) for s in sensors}
    return features, dates


@pytest.mark.parametrize('sensors', SUBSETS)
def test_any_subset_uses_every_parameter(sensors):
    fusion = build().train()
    features, dates = inputs(sensors)
    fused = fusion(features, dates)
    side = max(GRID[s] for s in sensors)
    assert fused.shape == (2, 16, side, side)
    fused.square().sum().backward()
    assert all(p.grad is not None for p in fusion.parameters())


def test_invalid_dates_change_nothing():
    fusion = build()
    features, dates = inputs()
    valid = {s: torch.ones(2, DATES[s], dtype=torch.bool) for s in SENSORS}
    valid['s2_l2a'][:, 2] = False
    fewer = {**features, 's2_l2a': features['s2_l2a'][:, :2]}
    fewer_dates = {**dates, 's2_l2a': dates['s2_l2a'][:, :2]}
    torch.testing.assert_close(
        fusion(features, dates, valid), fusion(fewer, fewer_dates))
    features['s2_l2a'][:, 2] = 1e3
    torch.testing.assert_close(
        fusion(features, dates, valid), fusion(fewer, fewer_dates))


def test_invalid_pixels_change_nothing_and_only_there():
    fusion = build()
    features, dates = inputs()
    valid = {'hr_rgb': torch.ones(2, 1, 128, 128, dtype=torch.bool)}
    valid['hr_rgb'][:, :, :32, :32] = False  # place (0, 0) of the 4x4 map
    before = fusion(features, dates, valid)
    changed = {**features, 'hr_rgb': features['hr_rgb'].clone()}
    changed['hr_rgb'][..., 0, 0] += 5
    torch.testing.assert_close(fusion(changed, dates, valid), before)
    changed['hr_rgb'][..., 1, 1] += 5
    after = fusion(changed, dates, valid)
    moved = (after - before).abs().amax((0, 1)) > 1e-4
    assert moved[1, 1] and moved.sum() == 1


def test_nothing_valid_is_finite_and_the_same_everywhere():
    fusion = build()
    features, dates = inputs()
    valid = {s: torch.zeros(2, DATES[s], dtype=torch.bool) for s in SENSORS}
    fused = fusion(features, dates, valid)
    assert torch.isfinite(fused).all()
    torch.testing.assert_close(fused, fused[:1, :, :1, :1].expand_as(fused))
    fused.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_order_of_dates_does_not_matter_but_the_day_does():
    fusion = build()
    features, dates = inputs(('s2_l2a', ))
    fused = fusion(features, dates)
    order = [2, 0, 1]
    torch.testing.assert_close(
        fusion({'s2_l2a': features['s2_l2a'][:, order]},
               {'s2_l2a': dates['s2_l2a'][:, order]}), fused)
    other = fusion(features, {'s2_l2a': dates['s2_l2a'] % 366 + 1})
    assert (other - fused).abs().max() > 1e-3
    unknown = fusion(features, {'s2_l2a': torch.zeros(2, 3).long()})
    torch.testing.assert_close(fusion(features), unknown)


def test_an_absent_sensor_equals_one_without_dates():
    fusion = build()
    features, dates = inputs()
    empty = {**features, 's1_grd': features['s1_grd'][:, :0]}
    empty_dates = {**dates, 's1_grd': dates['s1_grd'][:, :0]}
    del features['s1_grd'], dates['s1_grd']
    torch.testing.assert_close(
        fusion(empty, empty_dates), fusion(features, dates))


def test_first_token_alone_equals_the_full_layer():
    layer = MaskedSequenceLayer(16, 2)
    x, mask = torch.randn(5, 7, 16), torch.rand(5, 7) > 0.4
    mask[:, 0] = True
    torch.testing.assert_close(
        layer(x, mask, first_only=True), layer(x, mask)[:, :1])


def test_mask_equals_removing_the_token():
    layer = MaskedSequenceLayer(16, 2)
    x = torch.randn(1, 4, 16)
    mask = torch.tensor([[True, True, False, True]])
    torch.testing.assert_close(
        layer(x, mask)[:, [0, 1, 3]], layer(x[:, [0, 1, 3]]))


def test_checkpointing_gives_the_same_gradients():
    features, dates = inputs()
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(1)
        fusion = build(with_cp=with_cp).train()
        fusion(features, dates).square().sum().backward()
        gradients.append([p.grad for p in fusion.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('grid, side', [('finest', 4), ('s2_l2a', 2),
                                        ('hr_rgb', 4)])
def test_grid(grid, side):
    features, dates = inputs()
    assert build(grid=grid)(features, dates).shape[-2:] == (side, side)


def test_resize_does_not_mix_in_what_was_not_measured():
    maps = torch.ones(1, 1, 2, 2)
    maps[..., 0, 0] = 1e6
    valid = torch.ones(1, 2, 2, dtype=torch.bool)
    valid[:, 0, 0] = False
    resized, seen = masked_resize(maps, valid, (6, 6))
    torch.testing.assert_close(resized[seen[:, None]],
                               torch.ones(int(seen.sum())))
    assert not seen[0, 0, 0] and seen[0, 5, 5]


def test_place_is_valid_if_any_pixel_is():
    valid = torch.zeros(1, 8, 8, dtype=torch.bool)
    valid[0, 5, 2] = True
    assert place_validity(valid, (2, 2))[0].tolist() == [[False, False],
                                                         [True, False]]


@pytest.mark.parametrize('side, places, stride', [
    (10, 3, 4), (33, 9, 4), (33, 5, 8), (33, 3, 16), (65, 5, 16), (70, 3, 32),
    (3, 1, 4), (20, 1, 32), (6, 2, 4), (30, 10, 3)])
def test_a_pixel_belongs_to_the_one_place_whose_patch_holds_it(
        side, places, stride):
    rows = torch.eye(side, dtype=torch.bool)[:, :, None]
    # Row r alone is measured in image r.
    found = place_validity(rows.expand(-1, -1, side), (places, places))
    expected = torch.zeros(side, places, dtype=torch.bool)
    expected[torch.arange(side), torch.arange(side) // stride] = True
    assert torch.equal(found.all(2), expected)
    assert torch.equal(found.any(2), expected)
    columns = place_validity(rows.mT.expand(-1, side, -1), (places, places))
    assert torch.equal(columns, found.mT)


@pytest.mark.parametrize('side, places', [(10, 6), (2, 5)])
def test_validity_on_a_grid_that_no_patch_gives(side, places):
    valid = torch.zeros(1, side, side, dtype=torch.bool)
    assert not place_validity(valid, (places, places)).any()
    valid[0, -1, 0] = True
    found = place_validity(valid, (places, places))
    assert found.shape == (1, places, places)
    assert found[0, -1, 0] and not found[0, 0].any()


@pytest.mark.parametrize('options, word', [
    (dict(num_heads=3), 'num_heads'), (dict(depth=0), 'depth'),
    (dict(grid='lidar'), 'grid'), (dict(resample='cubic'), 'resample')])
def test_bad_arguments(options, word):
    with pytest.raises(ValueError, match=word):
        build(**options)


def test_bad_inputs():
    fusion = build()
    features, dates = inputs()
    with pytest.raises(ValueError, match='at least one'):
        fusion({})
    with pytest.raises(ValueError, match='lidar'):
        fusion({'lidar': features['hr_rgb']})
    with pytest.raises(ValueError, match='dates must begin'):
        fusion(features, {**dates, 's2_l2a': dates['s2_l2a'][:, :1]})
    with pytest.raises(ValueError, match='expected features'):
        fusion({'hr_rgb': features['hr_rgb'][:, :, :3]})
