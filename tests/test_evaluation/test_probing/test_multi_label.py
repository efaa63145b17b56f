# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Probing images with several classes."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmskysense.evaluation.probing import (
    LabelledImages,
    ProbeOptions,
    check_split,
    labelled_images,
    mean_average_precision,
    micro_average_precision,
    nearest_neighbour_scores,
    probe_multi_label,
)
from mmskysense.evaluation.probing.multi_label import (
    linear_scores,
    random_subset,
)
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor


class MeanColour(nn.Module):

    def forward(self, images):
        return dict(colour=images.mean((2, 3)))


def test_average_precision_by_hand():
    scores = np.array([[.9, .1], [.8, .7], [.3, .9]])
    truth = np.array([[1, 0], [0, 1], [1, 0]])
    # Class 0: hits at ranks 1 and 3; class 1: one hit at rank 2.
    first, second = (1 + 2 / 3) / 2, 1 / 2
    assert mean_average_precision(scores, truth) == pytest.approx(
        (first + second) / 2)
    # .9 (hit and miss, tied), .8 miss, .7 hit, .3 hit, .1 miss.
    assert micro_average_precision(scores, truth) == pytest.approx(
        (1 / 2 + 2 / 4 + 3 / 5) / 3)
    without = np.concatenate([truth, np.zeros((3, 1), int)], 1)
    assert mean_average_precision(
        np.concatenate([scores, scores[:, :1]], 1), without
    ) == pytest.approx((first + second) / 2)
    with pytest.raises(ValueError, match='an image with a class'):
        mean_average_precision(scores, 0 * truth)


def test_neighbours_vote_for_all_their_classes():
    train = torch.tensor([[1., 0], [.9, .1], [0, 1]])
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    shares = nearest_neighbour_scores(
        train, labels, torch.tensor([[1., .05]]), 3, k=2, temperature=None,
        shares=True)
    assert shares.tolist() == [[1.0, 0.5, 0.0]]


def test_linear_scores_do_without_a_constant_class():
    random = np.random.default_rng(0)
    train = random.normal(size=(80, 3)).astype(np.float32)
    labels = np.stack([train[:, 0] > 0, train[:, 1] > 0.3, train[:, 0] > -99],
                      1).astype(np.int64)
    scores, choice = linear_scores(train[:60], labels[:60], train[60:])
    assert mean_average_precision(scores[:, :2], labels[60:, :2]) > 0.95
    assert (scores[:, 2] == 1).all() and choice['validation_map'] > 0.9
    with pytest.raises(ValueError, match='not finite'):
        linear_scores(train * np.nan, labels, train)


def test_what_chooses_the_strength_was_not_fitted():
    """Noise can be learned by heart, but not be foreseen."""
    random = np.random.default_rng(0)
    train = random.normal(size=(60, 80)).astype(np.float32)
    labels = (random.random((60, 3)) < 0.4).astype(np.int64)
    scores, choice = linear_scores(train, labels, train)
    assert mean_average_precision(scores, labels) > 0.9
    assert choice['validation_map'] < 0.8


@pytest.fixture
def config(tmp_path):
    """Images whose red and green channels say which classes they have."""
    random = np.random.default_rng(0)
    tiles = []
    for number in range(60):
        classes = [c for c in (0, 1) if random.random() < 0.5]
        pixels = random.integers(0, 60, (8, 8, 3), np.uint8)
        pixels[..., classes] += 150
        Image.fromarray(pixels).save(tmp_path / f'{number}.png')
        tiles.append(dict(id=str(number), hr_rgb=[f'{number}.png'],
                          label=classes or [2],
                          split='train' if number < 40 else 'test'))
    (tmp_path / 'index.json').write_text(
        json.dumps(dict(version=1, tiles=tiles)))
    dataset = dict(
        type='mmskysense.MultiSensorClsDataset', data_root=str(tmp_path),
        sensors=('hr_rgb', ), multi_label=True,
        metainfo=dict(classes=('red', 'green', 'none')))
    return Config(dict(default_scope='mmskysense', **{
        f'{split}_dataloader': dict(dataset=dict(
            **dataset, split=split,
            pipeline=[dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb')]))
        for split in ('train', 'test')}))


@pytest.mark.parametrize('method', ['knn', 'linear'])
def test_colours_are_told_apart(config, method):
    train, test = (labelled_images(config, s) for s in ('train', 'test'))
    assert train.multi_label and train.labels.shape == (40, 3)
    result = probe_multi_label(
        lambda seed: (MeanColour(), MultiSensorDataPreprocessor()), train,
        test, ProbeOptions(method, k=3), (0, 1), True)
    # No line parts 'none' (neither colour) from the rest as surely as it
    # parts the colours, so that its scores are lower than theirs.
    assert result['map'] > 0.95
    assert result['micro_map'] > (0.95 if method == 'knn' else 0.75)
    assert result['ci95'][0] <= result['map'] <= result['ci95'][1]
    assert (result['n_train'], result['n_test']) == (40, 20)
    assert len(result['per_seed']) == 2 and result['feature_dims'] == 3
    json.dumps(result)
    with pytest.raises(ValueError, match='leave it out'):
        probe_multi_label(None, train, test, ProbeOptions(each=True))


def test_subsets_grow_and_sets_must_agree(config):
    small, large = random_subset(40, 0.1, 3), random_subset(40, 0.5, 3)
    assert len(small) == 4 and set(small) < set(large)
    with pytest.raises(ValueError, match='fraction=0'):
        random_subset(40, 0, 3)
    test = labelled_images(config, 'test')
    single = LabelledImages(('x', ), np.array([0]), test.classes)
    with pytest.raises(ValueError, match='one class an image, the other'):
        check_split(single, test)


def test_standardised_neighbours_are_not_ruled_by_a_loud_feature(config):
    class Loud(MeanColour):
        def forward(self, images):
            noise = torch.randn(len(images), 2,
                                generator=torch.Generator().manual_seed(0))
            return {**super().forward(images), 'noise': 1e5 * noise}

    train, test = (labelled_images(config, s) for s in ('train', 'test'))
    plain, fair = (
        probe_multi_label(
            lambda seed: (Loud(), MultiSensorDataPreprocessor()), train,
            test, ProbeOptions('knn', k=3, standardise=standardise))
        for standardise in (False, True))
    assert fair['map'] > plain['map'] + 0.1
    assert (plain['standardise'], fair['standardise']) == (False, True)
