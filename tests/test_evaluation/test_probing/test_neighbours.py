# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from mmskysense.evaluation.probing import neighbours
from mmskysense.evaluation.probing.neighbours import nearest_neighbour_scores


def clouds(train=200, test=90, dims=12, classes=5, spread=1.2):
    random = np.random.default_rng(1)
    centres = random.normal(size=(classes, dims))

    def draw(count):
        labels = random.integers(0, classes, count)
        return (centres[labels] + spread * random.normal(size=(count, dims)),
                labels)
    return (*draw(train), *draw(test))


@pytest.mark.parametrize('k', [1, 5, 20])
@pytest.mark.parametrize('temperature', [None, 0.07, 1.0])
def test_equals_scikit_learn(k, temperature):
    train, labels, test, _ = clouds()

    def weights(distance):
        return np.exp((1 - distance) / temperature)

    reference = KNeighborsClassifier(
        k, metric='cosine', algorithm='brute',
        weights='uniform' if temperature is None else weights)
    reference.fit(train, labels)
    scores = nearest_neighbour_scores(
        torch.from_numpy(train), torch.from_numpy(labels),
        torch.from_numpy(test), 5, k, temperature)
    shares = scores / scores.sum(1, keepdim=True)
    np.testing.assert_allclose(shares, reference.predict_proba(test),
                               atol=1e-5)
    np.testing.assert_array_equal(scores.argmax(1), reference.predict(test))


def test_chunks_change_nothing(monkeypatch):
    train, labels, test, _ = (torch.from_numpy(x) for x in clouds())
    whole = nearest_neighbour_scores(train, labels, test, 5)
    monkeypatch.setattr(neighbours, '_CHUNK_ELEMENTS', 7 * len(train))
    torch.testing.assert_close(
        nearest_neighbour_scores(train, labels, test, 5), whole)


def test_length_of_features_does_not_matter():
    train, labels, test, _ = (torch.from_numpy(x) for x in clouds())
    scale = torch.rand(len(test), 1) * 100 + 0.01
    torch.testing.assert_close(
        nearest_neighbour_scores(train, labels, test * scale, 5),
        nearest_neighbour_scores(train, labels, test, 5))


def test_few_training_features_all_vote():
    scores = nearest_neighbour_scores(
        torch.eye(3), torch.tensor([0, 1, 1]), torch.ones(2, 3), 4, k=20,
        temperature=None)
    assert scores.tolist() == [[1, 2, 0, 0]] * 2


@pytest.mark.parametrize('change, message', [
    (dict(k=0), 'k of at least 1'),
    (dict(temperature=0.0), 'temperature'),
    (dict(train=torch.zeros(4, 3)), 'needs features'),
    (dict(labels=torch.zeros(3, dtype=torch.int64)), 'needs features'),
    (dict(test=torch.full((2, 2), float('nan'))), 'test feature is not'),
    (dict(train=torch.full((4, 2), float('inf'))), 'training feature is not'),
])
def test_what_does_not_fit_is_refused(change, message):
    arguments = dict(train=torch.ones(4, 2),
                     labels=torch.zeros(4, dtype=torch.int64),
                     test=torch.ones(2, 2), num_classes=2)
    with pytest.raises(ValueError, match=message):
        nearest_neighbour_scores(**{**arguments, **change})
