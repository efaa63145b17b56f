# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from scipy import stats

from mmskysense.evaluation.probing import bootstrap_interval, confidence


@pytest.mark.parametrize('accuracy, count', [(0.9, 1000), (0.4, 200)])
def test_equals_the_binomial_quantiles(accuracy, count):
    values = np.arange(count) < accuracy * count
    low, high = bootstrap_interval(values)
    # Means of resampled 0s and 1s are binomial: known without drawing.
    exact = stats.binom.ppf([0.025, 0.975], count, accuracy) / count
    assert (low, high) == pytest.approx(exact, abs=1.01 / count)


def test_equals_scipy():
    values = np.random.default_rng(0).exponential(size=150)
    reference = stats.bootstrap(
        (values, ), np.mean, method='percentile', n_resamples=10_000,
        rng=np.random.default_rng(1)).confidence_interval
    # Two independent sets of draws: the ends' own Monte Carlo error.
    assert bootstrap_interval(values) == pytest.approx(
        (reference.low, reference.high), abs=0.01)


def test_seeded_and_independent_of_chunks(monkeypatch):
    values = np.random.default_rng(0).normal(size=(40, 3))
    found = bootstrap_interval(values, resamples=500, seed=3)
    assert bootstrap_interval(values, resamples=500, seed=3) == found
    assert bootstrap_interval(values, resamples=500, seed=4) != found
    monkeypatch.setattr(confidence, '_CHUNK_ELEMENTS', values.size * 7)
    assert bootstrap_interval(values, resamples=500, seed=3) == found


def test_own_statistic():
    values = np.arange(101.0)
    low, high = bootstrap_interval(
        values, statistic=lambda drawn: np.median(drawn, axis=1))
    assert 30 < low < 50 < high < 70


def test_certain_values_have_no_width():
    assert bootstrap_interval(np.ones(20)) == (1.0, 1.0)


@pytest.mark.parametrize('arguments', [
    dict(values=np.zeros(0)), dict(values=np.ones(3), level=1.0),
    dict(values=np.ones(3), resamples=0)])
def test_refusals(arguments):
    with pytest.raises(ValueError, match='at least'):
        bootstrap_interval(**arguments)
