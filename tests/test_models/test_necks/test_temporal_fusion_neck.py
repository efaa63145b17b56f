# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The fusion transformer as a neck."""

import pytest
import torch

from mmskysense.models.necks import TemporalFusionNeck

SENSORS = ('s2_l2a', 's1_grd')
SMALL = dict(embed_dims=16, depth=1, num_heads=2)


def maps(batch, dates, sizes=(8, 4)):
    return tuple(
        torch.randn(batch, dates, width, size, size)
        for width, size in zip((4, 8), sizes, strict=True))


@pytest.mark.parametrize('present', [SENSORS, SENSORS[:1], SENSORS[1:]])
def test_any_subset_of_sensors(present):
    neck = TemporalFusionNeck((4, 8), SENSORS, SMALL).eval()
    inputs = {sensor: maps(2, 3) for sensor in present}
    levels = neck(inputs)
    assert [tuple(level.shape) for level in levels] == [(2, 4, 8, 8),
                                                        (2, 16, 4, 4)]
    assert neck.out_channels == (4, 16)


def test_the_deepest_level_is_the_fusion_transformers():
    neck = TemporalFusionNeck((4, 8), SENSORS, SMALL).eval()
    inputs = {'s2_l2a': maps(2, 3), 's1_grd': maps(2, 2, (4, 2))}
    dates = {'s2_l2a': torch.randint(1, 366, (2, 3))}
    valid = {'s2_l2a': torch.tensor([[True, False, True]] * 2)}
    expected = neck.fusion({s: m[1] for s, m in inputs.items()}, dates, valid)
    torch.testing.assert_close(
        neck(inputs, dates, valid)[1], expected)


def test_one_level():
    neck = TemporalFusionNeck((8, ), SENSORS, SMALL)
    level, = neck({'s1_grd': (torch.randn(1, 2, 8, 3, 3), )})
    assert level.shape == (1, 16, 3, 3)


def test_refusals():
    with pytest.raises(ValueError, match='in_channels is empty'):
        TemporalFusionNeck((), SENSORS)
    neck = TemporalFusionNeck((4, 8), SENSORS, SMALL)
    with pytest.raises(ValueError, match='hr_rgb'):
        neck({'hr_rgb': maps(1, 1)})
