# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""mmseg's segmentor with dates: they matter, and any sensor may be missing."""

import pytest
import torch

pytest.importorskip('mmseg')

from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

from mmskysense.models.segmentors import DatedEncoderDecoder

SENSORS = ('s2_l2a', 's1_grd')


@pytest.fixture(scope='module')
def model():
    register_all_modules()
    torch.manual_seed(0)
    model = DatedEncoderDecoder(
        backbone=dict(
            type='mmskysense.SkySenseV2', arch='tiny', sensor='s2_l2a',
            sensors=SENSORS, out_indices=(3, )),
        neck=dict(
            type='mmskysense.TemporalFusionNeck',
            in_channels=(384, ), sensors=SENSORS,
            fusion=dict(embed_dims=16, depth=1, num_heads=2)),
        decode_head=dict(
            type='FCNHead', in_channels=16, in_index=0, channels=16,
            num_convs=1, num_classes=3, norm_cfg=None, align_corners=False),
        test_cfg=ConfigDict(mode='whole'),
        data_preprocessor=dict(
            type='mmskysense.MultiSensorDataPreprocessor', sensors=SENSORS))
    model.init_weights()
    return model.eval()


def sample(dates, valid, labelled=False):
    result = SegDataSample(metainfo=dict(
        img_shape=(16, 16), ori_shape=(16, 16), pad_shape=(16, 16),
        padding_size=[0, 0, 0, 0], dates=dates, valid_dates=valid))
    if labelled:
        result.gt_sem_seg = PixelData(
            data=torch.randint(0, 3, (1, 16, 16)))
    return result


def batch(optical=3, radar=2, labelled=False):
    inputs = dict(
        s2_l2a=torch.randn(1, optical, 10, 16, 16),
        s1_grd=torch.randn(1, radar, 2, 16, 16))
    dates = dict(
        s2_l2a=torch.arange(optical) * 30 + 1,
        s1_grd=torch.arange(radar) * 60 + 1)
    valid = {s: torch.ones(len(d), dtype=torch.bool)
             for s, d in dates.items()}
    return inputs, [sample(dates, valid, labelled)]


def logits(model, inputs, samples):
    with torch.no_grad():
        return model.predict(inputs, samples)[0].seg_logits.data


def test_dates_change_the_prediction(model):
    inputs, samples = batch()
    before = logits(model, inputs, samples)
    assert before.shape == (3, 16, 16)
    samples[0].metainfo['dates']['s2_l2a'] += 150
    assert not torch.allclose(logits(model, inputs, samples), before)


def test_images_of_dates_that_do_not_count_do_not_matter(model):
    inputs, samples = batch()
    samples[0].metainfo['valid_dates']['s2_l2a'][1] = False
    before = logits(model, inputs, samples)
    inputs['s2_l2a'][:, 1] = 9.0
    torch.testing.assert_close(logits(model, inputs, samples), before)


@pytest.mark.parametrize('missing', SENSORS)
def test_a_sensor_missing_at_test_time(model, missing):
    inputs, samples = batch()
    empty = dict(inputs)
    empty[missing] = inputs[missing][:, :0]
    samples[0].metainfo['dates'][missing] = torch.zeros(0, dtype=torch.long)
    samples[0].metainfo['valid_dates'][missing] = torch.zeros(
        0, dtype=torch.bool)
    result = logits(model, empty, samples)
    assert torch.isfinite(result).all()
    # The same as one whose images do not count.
    other, (unseen, ) = batch()
    there = next(s for s in SENSORS if s != missing)
    other[there] = inputs[there]
    unseen.metainfo['valid_dates'][missing][:] = False
    torch.testing.assert_close(
        logits(model, other, [unseen]), result, rtol=1e-4, atol=1e-5)


def test_no_sensor_at_all(model):
    inputs, samples = batch(0, 0)
    with pytest.raises(ValueError, match='at least one sensor, found none'):
        logits(model, inputs, samples)


@pytest.mark.parametrize('optical, radar', [(2, 2), (2, 0)])
def test_every_parameter_learns(model, optical, radar):
    inputs, samples = batch(optical, radar, labelled=True)
    model.train()
    model.zero_grad()
    losses = model.loss(inputs, samples)
    losses['decode.loss_ce'].backward()
    model.eval()
    assert [name for name, p in model.named_parameters()
            if p.grad is None] == []
