# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""mmpretrain's classifier on series of several sensors."""

import pytest
import torch

pytest.importorskip('mmpretrain')

from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

from mmskysense.models.classifiers import DatedImageClassifier
from mmskysense.registry import MODELS

SENSORS = ('s2_l2a', 's1_grd')


@pytest.fixture
def model():
    init_default_scope('mmpretrain')
    return MODELS.build(dict(
        type='mmskysense.DatedImageClassifier',
        data_preprocessor=dict(type='mmskysense.MultiSensorDataPreprocessor',
                               sensors=SENSORS),
        backbone=dict(type='mmskysense.SkySenseV2', arch='tiny',
                      sensor='s2_l2a', sensors=SENSORS, out_indices=(3, )),
        neck=dict(type='mmskysense.TemporalFusionNeck', in_channels=(384, ),
                  sensors=SENSORS,
                  fusion=dict(embed_dims=32, depth=1, num_heads=2)),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=32))
    ).eval()


def batch(dates=(2, 3), days=100):
    """Inputs of two samples, and their data samples."""
    inputs = {name: torch.rand(2, count, bands, 16, 16) for name, count, bands
              in zip(SENSORS, dates, (10, 2), strict=True)}
    samples = [DataSample(metainfo=dict(
        dates={name: torch.full((count, ), days) for name, count in
               zip(SENSORS, dates, strict=True)},
        valid_dates={name: torch.ones(count, dtype=torch.bool)
                     for name, count in zip(SENSORS, dates, strict=True)}
    )).set_gt_label(n) for n in range(2)]
    return inputs, samples


@torch.no_grad()
def test_each_mode_and_stage(model):
    inputs, samples = batch()
    assert model(inputs, samples).shape == (2, 5)
    assert model(inputs).shape == (2, 5)
    assert model(inputs, samples, mode='loss')['loss'].isfinite()
    predictions = model(inputs, samples, mode='predict')
    assert [p.pred_score.shape[0] for p in predictions] == [5, 5]
    maps = model.extract_feat(inputs, 'backbone')
    assert maps['s1_grd'][-1].shape == (2, 3, 384, 4, 4)
    assert model.extract_feat(inputs, 'pre_logits').shape == (2, 32)
    with pytest.raises(ValueError, match="stage='head'"):
        model.extract_feat(inputs, 'head')


@torch.no_grad()
def test_dates_reach_the_fusion(model):
    inputs, spring = batch(days=100)
    _, autumn = batch(days=280)
    model.neck.init_weights()
    torch.nn.init.normal_(model.head.fc.weight)
    assert not torch.allclose(model(inputs, spring), model(inputs, autumn))


@torch.no_grad()
def test_dates_that_are_not_there_do_not_count(model):
    inputs, samples = batch()
    for sample in samples:
        sample.valid_dates['s1_grd'][2] = False
    before = model(inputs, samples)
    inputs['s1_grd'][:, 2] = 50
    torch.testing.assert_close(model(inputs, samples), before)


@torch.no_grad()
@pytest.mark.parametrize('missing', SENSORS)
def test_a_sensor_may_be_missing(model, missing):
    inputs, samples = batch()
    inputs[missing] = inputs[missing][:, :0]
    without = {name: images for name, images in inputs.items()
               if name != missing}
    torch.testing.assert_close(model(inputs, samples),
                               model(without, samples))
    with pytest.raises(ValueError, match='DatedImageClassifier: expected '
                       'images of at least one sensor'):
        model({missing: inputs[missing]}, samples)


def test_a_neck_is_needed():
    with pytest.raises(ValueError, match='expected a neck that fuses'):
        DatedImageClassifier(dict(type='mmskysense.SkySenseV2'))
