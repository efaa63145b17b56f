# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmskysense.evaluation.probing import ProbeOptions, judge_features
from mmskysense.evaluation.probing.standardise import standardised


def test_like_scikit_learn():
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    train = rng.normal(3, [1, 10, 0.1], (50, 3))
    other = rng.normal(0, 1, (4, 3))
    reference = StandardScaler().fit(train)
    for found, part in zip(standardised(train, other), (train, other),
                           strict=True):
        np.testing.assert_allclose(found, reference.transform(part))


def test_a_constant_feature_is_centred_and_types_are_kept():
    train = np.full((3, 2), 7, np.float32)
    first, second = standardised(train, np.array([[7, 8]], np.float32))
    assert first.dtype == np.float32 and not first.any()
    assert second.tolist() == [[0, 1]]


def test_neighbours_by_a_feature_that_varies_little():
    """The class is in a weak feature, strong ones say nothing."""
    generator = torch.Generator().manual_seed(0)

    def draw(count):
        labels = torch.arange(count) % 2
        features = torch.randn(count, 3, generator=generator)
        features[:, :2] *= 100
        features[:, 2] = 0.5 * labels + 0.01 * features[:, 2]
        return features, labels.numpy()

    train, labels = draw(200)
    test, truth = draw(100)
    accuracy = {
        standardise: judge_features(
            train, labels, test, truth, 2,
            ProbeOptions(standardise=standardise))[0].mean()
        for standardise in (False, True)}
    assert accuracy[True] == pytest.approx(1, abs=0.1)
    assert accuracy[False] < 0.7
