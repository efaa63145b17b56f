# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from torch import nn

from mmskysense.evaluation.probing import (
    ProbeOptions,
    bootstrap_interval,
    probe_images,
    read_image_list,
)
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor


class MeanColour(nn.Module):
    """An encoder whose features are known."""

    def __init__(self, noise=0.0):
        super().__init__()
        self.noise = noise
        self.passes = 0

    def forward(self, images):
        self.passes += 1
        colour = images.mean((2, 3))
        noise = self.noise * torch.randn(colour.shape)
        return dict(colour=colour + noise, useless=torch.ones(len(images), 2))


@pytest.fixture
def sets(coloured):
    return [read_image_list(coloured / 'data', coloured / f'{part}.txt')
            for part in ('train', 'test')]


def maker(encoder):
    return lambda seed: (encoder, MultiSensorDataPreprocessor())


@pytest.mark.parametrize('method', ['knn', 'linear'])
def test_colours_are_told_apart(sets, method):
    result = probe_images(maker(MeanColour()), *sets,
                          ProbeOptions(method, k=3, each=True))
    assert result['top1'] == 1.0 and result['ci95'] == [1.0, 1.0]
    assert (result['n_train'], result['n_test']) == (30, 12)
    assert result['classes'] == ['Blue', 'Green', 'Red']
    each = {part['features']: part['top1'] for part in result['each']}
    assert each['colour'] == 1.0 and each['useless'] == pytest.approx(1 / 3)
    assert result['feature_dims'] == 5


def test_seeds_draw_other_subsets_and_features_are_taken_once(sets):
    torch.manual_seed(0)
    encoder = MeanColour(noise=2.0)
    options = ProbeOptions(k=1, fraction=0.1, batch_size=30)
    result = probe_images(maker(encoder), *sets, options, range(4), True)
    assert encoder.passes == 2
    found = [part['top1'] for part in result['per_seed']]
    assert len(set(found)) > 1 and result['n_train'] == 3
    assert result['top1'] == pytest.approx(np.mean(found))
    assert result['std_over_seeds'] == pytest.approx(np.std(found, ddof=1))
    low, high = result['ci95']
    assert low < result['top1'] < high
    again = MeanColour(noise=2.0)
    probe_images(maker(again), *sets, options, range(4))
    assert again.passes == 8


def test_the_interval_is_of_test_images(sets):
    encoder = MeanColour()
    wrong = sets[1]
    # Four of twelve labels are wrong, so four answers count as wrong.
    wrong = type(wrong)(wrong.paths, (wrong.labels + (np.arange(12) % 3 == 0)
                                      ) % 3, wrong.classes)
    result = probe_images(maker(encoder), sets[0], wrong, ProbeOptions(k=1))
    assert result['top1'] == pytest.approx(8 / 12)
    assert tuple(result['ci95']) == pytest.approx(
        bootstrap_interval(np.arange(12) % 3 != 0), abs=0.01)


def test_refusals(sets):
    with pytest.raises(ValueError, match="method='svm'"):
        ProbeOptions('svm')
    with pytest.raises(ValueError, match='training and in the'):
        probe_images(maker(MeanColour()), sets[0], sets[0], ProbeOptions())
    with pytest.raises(ValueError, match='not finite'):
        probe_images(maker(MeanColour(float('nan'))), *sets,
                     ProbeOptions('linear'))


@pytest.mark.parametrize('options', [
    dict(k=0), dict(image_size=0), dict(batch_size=0), dict(fraction=0.0),
    dict(fraction=1.5), dict(temperature=0.0)])
def test_numbers_out_of_range_are_refused_at_once(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ProbeOptions(**options)
