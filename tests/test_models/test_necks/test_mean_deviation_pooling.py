# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmskysense.evaluation.probing import FeatureEncoder
from mmskysense.models import SkySenseV2
from mmskysense.models.necks import MeanDeviationPooling

ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4)
CHANNELS = (16, 32, 64, 128)


def test_like_numpy():
    torch.manual_seed(0)
    maps = torch.randn(3, 8, 5, 4) + 2, torch.randn(3, 6, 3, 3)
    found, = MeanDeviationPooling((8, 6))(maps)
    expected = []
    for level in maps:
        values = level.numpy().astype(np.float64)
        values = (values - values.mean(1, keepdims=True)) / np.sqrt(
            values.var(1, keepdims=True) + 1e-5)
        expected += [values.mean((2, 3)), values.std((2, 3))]
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-4,
                               atol=1e-5)


def test_the_features_of_the_probe():
    """Fine-tuning starts from what a probe of all stages judged."""
    torch.manual_seed(0)
    backbone = SkySenseV2(ARCH, sensors=('hr_rgb', ), merge=(2, 3)).eval()
    backbone.init_weights()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found, = MeanDeviationPooling(CHANNELS)(backbone(images))
        probed = FeatureEncoder(backbone, 'stages', pooling='mean_deviation')(
            images)
    start = 0
    # An output norm with its first weights, then the neck's, is one norm.
    for name, channels in zip(probed, CHANNELS, strict=True):
        torch.testing.assert_close(
            found[:, start:start + 2 * channels], probed[name], rtol=2e-3,
            atol=2e-3)
        start += 2 * channels
    assert start == found.shape[1]


def test_a_single_place_has_a_gradient():
    level = torch.randn(2, 8, 1, 1, requires_grad=True)
    features, = MeanDeviationPooling((8, ))((level, ))
    assert features[:, 8:].max() < 2e-3
    features.sum().backward()
    assert level.grad is not None and level.grad.isfinite().all()


def test_a_stock_classifier_trains_with_it():
    registry = pytest.importorskip('mmpretrain.registry')
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    neck = dict(type='mmskysense.MeanDeviationPooling',
                in_channels=(64, 128, 256, 512))
    model = registry.MODELS.build(dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        neck=neck,
        head=dict(type='LinearClsHead', num_classes=3, in_channels=1920,
                  loss=dict(type='CrossEntropyLoss'))))
    structures = pytest.importorskip('mmpretrain.structures')
    samples = [structures.DataSample().set_gt_label(k) for k in range(3)]
    loss = model(torch.randn(3, 3, 64, 64), samples, mode='loss')['loss']
    loss.backward()
    assert model.backbone.layer1[0].conv1.weight.grad.abs().sum() > 0
    assert model.neck.out_channels == model.head.in_channels


def test_refusals():
    with pytest.raises(ValueError, match='in_channels is empty'):
        MeanDeviationPooling(())
    with pytest.raises(ValueError, match=r'\(8, 16\) channels, found \(8,\)'):
        MeanDeviationPooling((8, 16))((torch.rand(1, 8, 2, 2), ))
