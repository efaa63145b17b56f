# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import pytest
import torch

from mmskysense.models.necks import MultiSensorFusionNeck
from mmskysense.registry import MODELS

WIDTHS = (4, 8)


def maps(dates: int, sizes=(8, 4), number=2) -> tuple[torch.Tensor, ...]:
    return tuple(
        torch.randn(number, dates, width, size, size)
        for width, size in zip(WIDTHS, sizes, strict=True))


@pytest.fixture
def neck() -> MultiSensorFusionNeck:
    return MODELS.build(
        dict(
            type='mmskysense.MultiSensorFusionNeck',
            in_channels=WIDTHS,
            sensors=('s2_l2a', 's1_grd')))


def test_finest_grid_and_widths(neck):
    levels = neck({'s2_l2a': maps(5), 's1_grd': maps(3, (4, 2))})
    assert [tuple(x.shape) for x in levels] == [(2, 4, 8, 8), (2, 8, 4, 4)]


@pytest.mark.parametrize('sensor', ['s2_l2a', 's1_grd'])
def test_a_missing_sensor_changes_nothing_else(neck, sensor):
    levels = {sensor: maps(2)}
    alone = neck(levels)
    expected = neck.norms[0](neck.projections[sensor][0](
        levels[sensor][0].mean(1)))
    torch.testing.assert_close(alone[0], expected)


def test_two_sensors_are_averaged(neck):
    s2, s1 = maps(2), maps(1)
    merged = neck({'s2_l2a': s2, 's1_grd': s1})
    expected = neck.norms[1](
        (neck.projections['s2_l2a'][1](s2[1].mean(1)) +
         neck.projections['s1_grd'][1](s1[1][:, 0])) / 2)
    torch.testing.assert_close(merged[1], expected)


def test_dates_that_do_not_count(neck):
    levels = maps(3)
    valid = torch.tensor([[True, False, True], [True, True, True]])
    spoiled = tuple(level.clone() for level in levels)
    for level in spoiled:
        level[0, 1] = 1e6
    clean = neck({'s2_l2a': levels}, dict(s2_l2a=valid))
    dirty = neck({'s2_l2a': spoiled}, dict(s2_l2a=valid))
    for one, other in zip(clean, dirty, strict=True):
        torch.testing.assert_close(one, other)


def test_sample_without_a_date_of_one_sensor(neck):
    s2, s1 = maps(2), maps(2)
    valid = dict(s1_grd=torch.tensor([[False, False], [True, True]]))
    levels = neck({'s2_l2a': s2, 's1_grd': s1}, valid)
    only_s2 = neck({'s2_l2a': s2})
    torch.testing.assert_close(levels[0][0], only_s2[0][0])
    assert not torch.allclose(levels[0][1], only_s2[0][1])


def test_every_parameter_has_a_gradient_when_a_sensor_is_missing(neck):
    sum(level.square().sum() for level in neck({'s1_grd': maps(1)})).backward()
    assert [n for n, p in neck.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('inputs, message', [
    ({}, 'expected a dict sensor -> maps'),
    (torch.rand(1, 4, 8, 8), 'found Tensor'),
    ({'hr_rgb': maps(1)}, "inputs hold sensor 'hr_rgb'"),
    ({'s1_grd': maps(1)[:1]}, r"sensor 's1_grd': expected 2 maps"),
    ({'s1_grd': maps(1)[::-1]}, r'with C = \(4, 8\)'),
])
def test_refusals(neck, inputs, message):
    with pytest.raises(ValueError, match=message):
        neck(inputs)


def test_refuses_valid_dates_of_another_shape(neck):
    with pytest.raises(ValueError, match=r'expected \(N, T\) = \(2, 3\)'):
        neck({'s2_l2a': maps(3)}, dict(s2_l2a=torch.ones(2, 2)))


def test_refuses_no_levels():
    with pytest.raises(ValueError, match='in_channels is empty'):
        MultiSensorFusionNeck(())
