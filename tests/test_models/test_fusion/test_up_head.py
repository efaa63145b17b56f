# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A learned up-head in place of bilinear resampling alone."""

import pytest
import torch
import torch.nn.functional as F

from mmskysense import MultiModalTemporalFusion
from mmskysense.models.fusion.up_head import UpHead


def fusion(resample, seed=0):
    torch.manual_seed(seed)
    model = MultiModalTemporalFusion(8, embed_dims=16, depth=2, num_heads=2,
                                     resample=resample)
    model.init_weights()
    return model


def features(**sizes):
    torch.manual_seed(1)
    return {sensor: torch.randn(2, dates, 8, side, side)
            for sensor, (dates, side) in sizes.items()}


def trained(head):
    torch.manual_seed(2)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return head


def test_starts_as_bilinear_resampling():
    learned, bilinear = fusion('learned'), fusion('bilinear')
    missing = bilinear.load_state_dict(learned.state_dict(), strict=False)
    assert set(missing.unexpected_keys) == {
        f'up_head.{layer}.{kind}' for layer in ('depthwise', 'pointwise')
        for kind in ('weight', 'bias')} and not missing.missing_keys
    maps = features(hr_rgb=(1, 6), s2_l2a=(3, 3))
    torch.testing.assert_close(learned(maps), bilinear(maps))
    trained(learned.up_head)
    assert not torch.allclose(learned(maps), bilinear(maps))


def test_is_what_it_says():
    head = trained(UpHead(4))
    maps = torch.randn(3, 4, 5, 6)
    measured = torch.rand(3, 5, 6) > 0.3
    weight = measured[:, None].float()
    hidden = F.gelu(F.conv2d(
        maps * weight, head.depthwise.weight, head.depthwise.bias, padding=1,
        groups=4))
    detail = torch.einsum('oi,mihw->mohw', head.pointwise.weight[..., 0, 0],
                          hidden) + head.pointwise.bias[:, None, None]
    torch.testing.assert_close(head(maps, measured), maps + weight * detail)


def test_unmeasured_places_neither_give_nor_get():
    head = trained(UpHead(4))
    maps = torch.randn(1, 4, 6, 6)
    measured = torch.ones(1, 6, 6, dtype=torch.bool)
    measured[:, :, 3:] = False
    other = torch.where(measured[:, None], maps, 1e3)
    one, two = head(maps, measured), head(other, measured)
    torch.testing.assert_close(one[..., :3], two[..., :3])
    torch.testing.assert_close(one[..., 3:], maps[..., 3:])


def test_maps_of_the_grid_are_left_alone():
    learned = fusion('learned')
    maps = features(hr_rgb=(1, 6))
    before = learned(maps)
    trained(learned.up_head)
    torch.testing.assert_close(learned(maps), before)


@pytest.mark.parametrize('sizes', [
    dict(hr_rgb=(1, 6), s1_grd=(2, 3)), dict(s2_l2a=(2, 3))])
def test_every_parameter_gets_a_gradient(sizes):
    learned = fusion('learned')
    learned(features(**sizes)).square().sum().backward()
    for name, parameter in learned.up_head.named_parameters():
        assert parameter.grad is not None, name
    assert learned.up_head.pointwise.weight.grad.any() == (len(sizes) == 2)
