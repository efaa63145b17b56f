# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Scenes of different size become one, and nodata stays out of it."""

import numpy as np
import pytest

from mmskysense.datasets.transforms import MultiSensorResize


def sample(size=(8, 12), dates=2):
    random = np.random.default_rng(0)
    images = random.uniform(100, 200, (dates, 10, *size)).astype(np.float32)
    return dict(
        images=dict(s2_l2a=images, s1_grd=np.zeros((0, 2, 1, 1), np.float32)),
        valid=dict(s2_l2a=np.ones((dates, *size), bool),
                   s1_grd=np.zeros((0, 1, 1), bool)),
        img_shape=size, valid_mask=np.ones(size, np.uint8))


@pytest.mark.parametrize('size', [(16, 24), (4, 6), (5, 17)])
def test_every_date_gets_the_size(size):
    results = MultiSensorResize(size).transform(sample())
    assert results['images']['s2_l2a'].shape == (2, 10, *size)
    assert results['valid']['s2_l2a'].all()
    assert results['images']['s1_grd'].shape == (0, 2, 1, 1)
    assert results['img_shape'] == size and 'valid_mask' not in results


def test_shrinking_averages():
    results = sample((8, 8))
    plain = results['images']['s2_l2a'].mean((2, 3))
    small = MultiSensorResize(1).transform(results)['images']['s2_l2a']
    np.testing.assert_allclose(small[..., 0, 0], plain, rtol=0.05)


@pytest.mark.parametrize('size', [(16, 24), (4, 6)])
def test_what_was_not_measured_does_not_mix_in(size):
    results = sample()
    hidden = np.zeros((8, 12), bool)
    hidden[:4, :6] = True
    results['images']['s2_l2a'][0, :, hidden] = -9999
    results['valid']['s2_l2a'][0] = ~hidden
    results = MultiSensorResize(size).transform(results)
    images, valid = results['images']['s2_l2a'], results['valid']['s2_l2a']
    assert not valid[0, :size[0] // 2, :size[1] // 2].any()
    assert valid[0].mean() == 0.75 and valid[1].all()
    values = images[0].transpose(1, 2, 0)
    assert (values[~valid[0]] == 0).all()
    assert values[valid[0]].min() > 99 and values[valid[0]].max() < 201


def test_a_size_for_each_sensor():
    results = MultiSensorResize(dict(s1_grd=4)).transform(sample())
    assert results['images']['s2_l2a'].shape[-2:] == (8, 12)
    results = MultiSensorResize(dict(s2_l2a=(4, 4))).transform(sample())
    assert results['images']['s2_l2a'].shape[-2:] == (4, 4)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match='size=0, expected at least 1'):
        MultiSensorResize(0)
    with pytest.raises(KeyError, match="unknown sensor 'sonar'"):
        MultiSensorResize(dict(sonar=4))
    with pytest.raises(ValueError, match='found a label map'):
        MultiSensorResize(4).transform(
            dict(sample(), gt_seg_map=np.zeros((8, 12))))
