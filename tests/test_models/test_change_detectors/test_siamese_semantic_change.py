# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A pair of images to a class map of each date."""

import pytest
import torch

pytest.importorskip('mmseg')

from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

from mmskysense.models.change_detectors import (
    SiameseSemanticChange,
)

HEAD = dict(type='FCNHead', num_convs=1, norm_cfg=None, align_corners=False)


@pytest.fixture(scope='module')
def model():
    register_all_modules()
    torch.manual_seed(0)
    model = SiameseSemanticChange(
        backbone=dict(type='mmskysense.SkySenseV2', arch='tiny',
                      sensor='s2_l2a', out_indices=(1, )),
        decode_head=dict(**HEAD, in_channels=96, in_index=0, channels=8,
                         num_classes=3),
        change_head=dict(**HEAD, in_channels=288, in_index=0, channels=8,
                         num_classes=2),
        test_cfg=ConfigDict(mode='whole'),
        data_preprocessor=dict(
            type='mmskysense.MultiSensorDataPreprocessor',
            sensors=('s2_l2a', )))
    model.init_weights()
    return model


def pair(size=16, padding=0, batch=2):
    samples = []
    for _ in range(batch):
        sample = SegDataSample(metainfo=dict(
            img_shape=(size, size), ori_shape=(size, size),
            pad_shape=(size + padding, size + padding),
            padding_size=[0, padding, 0, padding]))
        label = torch.randint(0, 3, (2, size + padding, size + padding))
        label[1, :4] = 255
        sample.gt_sem_seg = PixelData(data=label)
        samples.append(sample)
    side = size + padding
    return {'s2_l2a': torch.randn(batch, 2, 10, side, side)}, samples


def test_every_head_learns(model):
    model.train()
    inputs, samples = pair()
    losses = model.loss(inputs, samples)
    assert {'decode.loss_ce', 'change.loss_ce'} <= set(losses)
    total, _ = model.parse_losses(losses)
    model.zero_grad()
    total.backward()
    assert [name for name, p in model.named_parameters()
            if p.grad is None] == []


def test_change_label(model):
    label = torch.tensor([[[0, 1, 255, 2]], [[0, 2, 1, 255]]])
    assert model._change(label).tolist() == [[0, 1, 255, 255]]


@torch.no_grad()
def test_the_later_map_changes_only_where_the_change_head_says(model):
    model.eval()
    inputs, samples = pair(padding=4)
    result = model.predict(inputs, samples)
    for sample in result:
        maps, change = sample.pred_sem_seg.data, sample.pred_change.data
        assert maps.shape == (2, 16, 16) and change.shape == (1, 16, 16)
        still = change[0] == 0
        assert (maps[0][still] == maps[1][still]).all()


@torch.no_grad()
def test_dates_of_a_pair_stay_together(model):
    """A batch of pairs gives what each pair gives by itself."""
    model.eval()
    inputs, samples = pair()
    together = [s.pred_sem_seg.data.clone()
                for s in model.predict(inputs, samples)]
    for n, sample in enumerate(samples):
        alone, = model.predict(
            {'s2_l2a': inputs['s2_l2a'][n:n + 1]}, [sample])
        assert (alone.pred_sem_seg.data == together[n]).all()


@pytest.mark.parametrize('inputs', [
    {'s2_l2a': torch.rand(1, 3, 10, 8, 8)},
    {'s2_l2a': torch.rand(1, 2, 10, 8, 8),
     's1_grd': torch.rand(1, 2, 2, 8, 8)}])
def test_other_inputs(model, inputs):
    with pytest.raises(ValueError, match=r'pairs of images of one sensor'):
        model.predict(inputs, [SegDataSample()])
