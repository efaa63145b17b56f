# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmskysense.evaluation.probing import linear_probe


def clouds(count, classes=4, dims=6, seed=0):
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(classes, dims))
    labels = np.arange(count) % classes
    features = centres[labels] + 0.8 * random.normal(size=(count, dims))
    # Columns of very different scale, one of them constant.
    return (features * np.logspace(-3, 3, dims)
            + np.array([0, 0, 50, 0, 0, 7.0])) * np.array(
                [1, 1, 1, 1, 1, 0.0]), labels


@pytest.mark.parametrize('classes', [2, 4])
def test_equals_a_scikit_learn_pipeline(classes):
    train, labels = clouds(80, classes)
    test, _ = clouds(60, classes, seed=1)
    found = linear_probe(train, labels, strengths=(0.1, ))
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    reference.fit(train, labels)
    np.testing.assert_array_equal(found.predict(test),
                                  reference.predict(test))
    scores = test @ found.weight.T + found.bias
    scores = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(scores / scores.sum(1, keepdims=True),
                               reference.predict_proba(test), atol=1e-6)


def test_strength_is_chosen_on_training_data_alone():
    train, labels = clouds(200)
    found = linear_probe(train, labels, strengths=(1e-9, 1.0))
    assert found.strength == 1.0 and found.validation_top1 > 0.6
    random = np.random.default_rng(0)
    # Labels without any relation to the features: nothing to overfit with.
    noise = linear_probe(random.normal(size=(60, 80)),
                         random.integers(0, 2, 60), strengths=(1e-4, 10.0))
    assert abs(noise.validation_top1 - 0.5) < 0.35


def test_class_ids_with_gaps():
    train, labels = clouds(80)
    found = linear_probe(train, labels * 3 + 2, strengths=(1.0, ))
    assert set(found.predict(train)) <= {2, 5, 8, 11}


def test_one_sample_of_a_class_is_told():
    train, labels = clouds(9)
    with pytest.warns(UserWarning, match='class 1 has one'):
        found = linear_probe(train[[0, 4, 1]], labels[[0, 4, 1]])
    assert found.strength == 0.01 and found.validation_top1 is None


@pytest.mark.parametrize('train, labels, message', [
    (np.ones((3, 2)), np.zeros(3, int), 'two classes'),
    (np.ones((3, 2)), np.zeros(2, int), 'needs features'),
    (np.full((2, 2), np.nan), np.arange(2), 'not finite')])
def test_refusals(train, labels, message):
    with pytest.raises(ValueError, match=message):
        linear_probe(train, labels)
