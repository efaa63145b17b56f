# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SCS against its definition written out pixel by pixel."""

import numpy as np
import pytest
import torch

from mmskysense.evaluation import SemanticChangeMetric

CLASSES = 4


def scores(pairs, **options):
    metric = SemanticChangeMetric(**options)
    metric.dataset_meta = dict(classes=tuple('abcd'))
    metric.process({}, [
        dict(gt_sem_seg=dict(data=torch.as_tensor(truth)),
             pred_sem_seg=dict(data=torch.as_tensor(found)))
        for truth, found in pairs
    ])
    return metric.evaluate(len(pairs))


def by_hand(pairs, skip_ignored=False):
    """The authors' definition, one pixel after the other."""
    right = wrong = 0
    counts = np.zeros((CLASSES, 3))  # intersection, truth, prediction
    for truth, found in pairs:
        for place in np.ndindex(truth.shape[1:]):
            first, second = truth[0][place], truth[1][place]
            if skip_ignored and 255 in (first, second):
                continue
            changed = first != second
            claimed = found[0][place] != found[1][place]
            right += changed and claimed
            wrong += changed != claimed
            if changed and second != 255:
                answer = found[1][place]
                counts[second, 0] += second == answer
                counts[second, 1] += 1
                counts[answer, 2] += 1
    binary = right / (right + wrong)
    ious = [c[0] / (c[1] + c[2] - c[0]) for c in counts if c[1]]
    return 100 * binary, 100 * float(np.mean(ious))


def random_pairs(seed, ignored=False, classes=CLASSES):
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(3):
        truth = generator.integers(0, classes, (2, 7, 9))
        truth[1] = np.where(generator.random((7, 9)) < 0.6, truth[0],
                            truth[1])
        found = np.where(generator.random(truth.shape) < 0.7, truth,
                         generator.integers(0, CLASSES, truth.shape))
        if ignored:
            truth[0][generator.random((7, 9)) < 0.1] = 255
            truth[1][generator.random((7, 9)) < 0.1] = 255
        pairs.append((truth, found))
    return pairs


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('ignored, skip, classes', [
    (False, False, 4), (True, False, 4), (True, True, 4), (False, False, 3)])
def test_definition(seed, ignored, skip, classes):
    pairs = random_pairs(seed, ignored, classes)
    binary, semantic = by_hand(pairs, skip)
    found = scores(pairs, skip_ignored=skip)
    assert found['BC'] == pytest.approx(binary)
    assert found['SC'] == pytest.approx(semantic)
    assert found['SCS'] == pytest.approx((binary + semantic) / 2)


def test_truth_and_standstill():
    pairs = random_pairs(0)
    assert scores([(t, t) for t, _ in pairs])['SCS'] == 100
    # A model that never sees a change has no BC, whatever its classes.
    still = [(t, np.stack([t[0], t[0]])) for t, _ in pairs]
    assert scores(still)['BC'] == 0


def test_a_world_without_change():
    truth = np.ones((2, 4, 4), int)
    found = scores([(truth, truth)])
    assert found == dict(SCS=0.0, BC=0.0, SC=0.0)


@pytest.mark.parametrize('truth, found, message', [
    ((2, 4, 4), (2, 4, 5), 'expected a prediction of the label'),
    ((2, 4, 4), (1, 4, 4), r'pred_sem_seg of two maps .*\(1, 4, 4\)'),
    ((3, 4, 4), (2, 4, 4), 'gt_sem_seg of two maps')])
def test_other_forms(truth, found, message):
    with pytest.raises(ValueError, match=message):
        scores([(np.zeros(truth, int), np.zeros(found, int))])


def test_classes_that_the_dataset_lacks():
    maps = np.zeros((2, 4, 4), int)
    with pytest.raises(ValueError, match='classes 0 to 3 in the prediction, f'
                       'ound 0 to 4'):
        scores([(maps, np.stack([maps[0], maps[1] + 4]))])
