# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Regions of the earth and their prototypes."""

import numpy as np
import pytest
import torch

from mmskysense.models.fusion import GeoContextPrototypes

NAN = float('nan')
ZURICH, WINTERTHUR, SANTIAGO = (8.5, 47.4), (8.7, 47.5), (-70.6, -33.4)


def build(**options):
    options = dict(embed_dims=8, regions=(4, 8), num_prototypes=3,
                   num_heads=2, momentum=0.5, max_places=100) | options
    return GeoContextPrototypes(**options)


@pytest.mark.parametrize('location, row, column', [
    ((-180.0, -90.0), 0, 0), ((179.9, 90.0), 3, 7), ((180.0, 0.1), 2, 0),
    ((0.0, -0.1), 1, 4), ((540.0 - 0.1, 29.0), 2, 7), ((0.1, 31.0), 3, 4),
    ((-0.1, 95.0), 3, 3)])
def test_regions_of_equal_area(location, row, column):
    # Four rows of the sine of latitude: their borders are -30, 0, 30.
    region = build().region(torch.tensor([location]))
    assert divmod(int(region), 8) == (row, column)


def test_unknown_locations_have_no_region():
    region = build().region(torch.tensor(
        [[NAN, 10.0], [10.0, NAN], [float('inf'), 0.0], [10.0, 10.0]]))
    assert (region == 32).tolist() == [True, True, True, False]


def test_only_known_tiles_see_their_regions_prototypes():
    module = build().eval()
    fused = torch.randn(3, 8, 2, 3)
    locations = torch.tensor([ZURICH, (NAN, NAN), SANTIAGO])
    before = module(fused, locations)
    assert before.shape == fused.shape
    with torch.no_grad():
        module.prototypes[module.region(locations[:1])] += 1
        module.prototypes[-1] += 1
    changed = (module(fused, locations) - before).abs().amax((1, 2, 3))
    assert (changed > 1e-4).tolist() == [True, False, False]
    torch.testing.assert_close(module(fused, locations)[1],
                               module(fused)[1])


def test_every_parameter_has_a_gradient_wherever_tiles_are():
    for location in (ZURICH, (NAN, NAN)):
        module = build()
        module(torch.randn(1, 8, 2, 2), torch.tensor([location])).sum(
        ).backward()
        assert all(p.grad is not None for p in module.parameters())
    assert not module.prototypes.requires_grad


def test_update_against_loops():
    module = build()
    fused = torch.randn(4, 8, 2, 3)
    locations = torch.tensor([ZURICH, (NAN, NAN), SANTIAGO, WINTERTHUR])
    measured = torch.ones(4, 2, 3, dtype=torch.bool)
    measured[3, 0] = False
    old = module.prototypes.double().numpy().copy()
    module.update(fused, locations, measured)
    new = module.prototypes.double().numpy()

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    regions = module.region(locations).tolist()
    assert regions[0] == regions[3] != regions[2]
    expected = old.copy()
    for tiles in ((0, 3), (2, )):
        x = torch.cat([fused[t][:, measured[t]].T for t in tiles])
        x = x.double().numpy()
        region = regions[tiles[0]]
        share = np.exp(unit(x) @ unit(old[region]).T / 0.05)
        for _ in range(3):
            share = share / share.sum(0)
            share = share / share.sum(1, keepdims=True)
        mean = share.T @ x / share.sum(0)[:, None]
        expected[region] = 0.5 * old[region] + 0.5 * mean
    np.testing.assert_allclose(new, expected, rtol=1e-3, atol=1e-4)


def test_nothing_known_or_measured_moves_nothing():
    module = build()
    old = module.prototypes.clone()
    fused = torch.randn(2, 8, 2, 2)
    module.update(fused, None)
    module.update(fused, torch.full((2, 2), NAN))
    module.update(fused, torch.tensor([ZURICH, SANTIAGO]),
                  torch.zeros(2, 2, 2, dtype=torch.bool))
    assert torch.equal(module.prototypes, old)


def test_prototypes_settle_on_what_their_region_looks_like():
    module = build(num_prototypes=2)
    kinds = torch.randn(2, 8)
    location = torch.tensor([ZURICH])
    for _ in range(60):
        fused = kinds[torch.randperm(16) % 2].T.reshape(1, 8, 4, 4)
        module.update(fused + 0.01 * torch.randn_like(fused), location)
    found = module.prototypes[module.region(location)][0]
    distance = torch.cdist(found, kinds)
    assert sorted(distance.argmin(1).tolist()) == [0, 1]
    assert distance.min(1).values.max() < 0.1


def test_at_most_so_many_places_count():
    module, few = build(), build(max_places=3)
    few.load_state_dict(module.state_dict())
    fused, location = torch.randn(1, 8, 2, 4), torch.tensor([ZURICH])
    few.update(fused, location)
    module.update(fused.flatten(2)[..., ::3, None], location)
    torch.testing.assert_close(few.prototypes, module.prototypes)


@pytest.mark.parametrize('options', [
    dict(regions=(0, 4)), dict(num_prototypes=0), dict(num_heads=3),
    dict(momentum=1.5), dict(temperature=0.0), dict(max_places=0)])
def test_refuses(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build(**options)


def test_refuses_locations_of_other_tiles():
    with pytest.raises(ValueError, match=r'locations: expected \(2, 2\)'):
        build()(torch.randn(2, 8, 2, 2), torch.tensor([ZURICH]))
