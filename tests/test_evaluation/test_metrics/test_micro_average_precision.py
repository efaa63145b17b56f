# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Micro-averaged average precision is scikit-learn's."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from mmskysense.evaluation.metrics.micro_average_precision import (
    MicroAveragePrecision,
    average_precision,
)


@pytest.mark.parametrize('levels', [3, 1000])
def test_it_is_that_of_scikit_learn_with_equal_scores_too(levels):
    metrics = pytest.importorskip('sklearn.metrics')
    random = np.random.default_rng(levels)
    scores = random.integers(0, levels, (50, 7)) / levels
    truths = random.random((50, 7)) < 0.2 + 0.3 * scores
    evaluator = Evaluator(MicroAveragePrecision())
    for score, truth in zip(scores, truths, strict=True):
        evaluator.process([dict(
            pred_score=torch.tensor(score, dtype=torch.float32),
            gt_score=torch.tensor(truth, dtype=torch.float32))])
    expected = metrics.average_precision_score(truths, scores,
                                               average='micro')
    assert evaluator.evaluate(50)['multi-label/micro_mAP'] == pytest.approx(
        100 * expected, abs=1e-4)


def test_a_perfect_ranking_and_the_worst():
    truths = torch.tensor([True, True, False, False])
    assert average_precision(torch.tensor([4., 3, 2, 1]), truths) == 1
    worst = average_precision(torch.tensor([1., 2, 3, 4]), truths)
    assert worst == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_nothing_true_is_refused():
    with pytest.raises(ValueError, match='at least one image with a class'):
        average_precision(torch.rand(3), torch.zeros(3, dtype=torch.bool))
