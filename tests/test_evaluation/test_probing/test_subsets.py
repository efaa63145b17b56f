# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmskysense.evaluation.probing import stratified_subset

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=200)


@given(LABELS, st.floats(0.001, 1.0), st.integers(0, 5))
def test_the_same_share_of_every_class(labels, fraction, seed):
    labels = np.array(labels)
    chosen = stratified_subset(labels, fraction, seed)
    assert len(np.unique(chosen)) == len(chosen)
    assert (np.diff(chosen) > 0).all()
    assert set(labels[chosen]) == set(labels)
    for name in np.unique(labels):
        there, drawn = (labels == name).sum(), (labels[chosen] == name).sum()
        assert drawn == 1 or abs(drawn - fraction * there) <= 0.5 + 1e-6


@given(LABELS, st.floats(0.01, 0.5), st.floats(0.5, 1.0))
def test_smaller_subsets_are_parts_of_larger_ones(labels, small, large):
    labels = np.array(labels)
    assert set(stratified_subset(labels, small, 1)) <= set(
        stratified_subset(labels, large, 1))


def test_counts_by_hand_and_seeds():
    labels = np.repeat([0, 1, 2], [300, 35, 4])
    chosen = stratified_subset(labels, 0.1)
    assert np.bincount(labels[chosen]).tolist() == [30, 4, 1]
    assert stratified_subset(labels, 0.1).tolist() == chosen.tolist()
    assert stratified_subset(labels, 0.1, 1).tolist() != chosen.tolist()
    assert len(stratified_subset(labels, 1.0)) == len(labels)


@pytest.mark.parametrize('labels, fraction', [
    ([0, 1], 0.0), ([0, 1], 1.5), ([], 0.5), ([[0], [1]], 0.5)])
def test_refusals(labels, fraction):
    with pytest.raises(ValueError, match='expected|needs'):
        stratified_subset(np.array(labels), fraction)
