# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from PIL import Image

from mmskysense.evaluation.pixel_baselines import (
    Score,
    confusion_matrix,
    format_table,
    intersection_over_union,
    majority_class,
    pixel_linear,
    score_predictions,
)


def test_iou_by_hand():
    truth = np.array([[0, 0, 1], [1, 1, 255]])
    found = np.array([[0, 1, 1], [1, 0, 2]])
    confusion = confusion_matrix(truth, found, 4)
    np.testing.assert_array_equal(confusion[:2, :2], [[1, 1], [1, 2]])
    assert confusion.sum() == 5  # the ignored pixel does not count
    iou = intersection_over_union(confusion)
    np.testing.assert_allclose(iou, [1 / 3, 2 / 4, np.nan, np.nan])
    score = Score.from_confusion('x', confusion)
    assert score.mean_iou == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert score.accuracy == pytest.approx(3 / 5)
    assert score.to_dict()['iou'][2] is None
    assert '41.7' in format_table([score])


def test_iou_equals_mmseg():
    metrics = pytest.importorskip('mmseg.evaluation.metrics')
    import torch
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, (40, 50))
    truth[:4] = 255
    found = random.integers(0, 5, (40, 50))
    areas = metrics.IoUMetric.intersect_and_union(
        torch.from_numpy(found), torch.from_numpy(truth), 5, 255)
    iou = intersection_over_union(confusion_matrix(truth, found, 5))
    np.testing.assert_allclose(iou, (areas[0] / areas[1]).numpy(), rtol=1e-6)


@pytest.mark.parametrize('truth, found, message', [
    (np.zeros((2, 2)), np.zeros((2, 3)), 'shape'),
    (np.full((2, 2), 7), np.zeros((2, 2)), 'truth has class 7'),
    (np.zeros((2, 2)), np.full((2, 2), 3), 'prediction has class 3'),
])
def test_what_does_not_fit_is_refused(truth, found, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(truth, found, 3)


@pytest.fixture
def tiny_data(tmp_path, write_raster):
    """Blue is 1, red is 2, grey is 0 (most frequent in training)."""
    colours = np.array([[90, 90, 90], [10, 20, 200], [200, 20, 10]])
    for split, label in (
            ('train', [[0, 0, 0, 0], [0, 1, 2, 0], [1, 2, 0, 255]]),
            ('test', [[0, 1, 2, 2], [1, 1, 2, 0], [0, 0, 0, 0]])):
        label = np.array(label, np.uint8)
        image = colours[np.minimum(label, 2)].transpose(2, 0, 1)
        write_raster(f'hr_rgb/{split}/a.tif', image.astype(np.uint8))
        write_raster(f'land_cover/{split}/a.tif', label[None])
    return tmp_path


def test_majority_class_by_hand(tiny_data):
    score = majority_class(tiny_data, 3)
    # Six of twelve test pixels are 0: IoU 6/12, 0 for the others.
    assert score.iou == pytest.approx((6 / 12, 0, 0))
    assert score.mean_iou == pytest.approx(1 / 6)


def test_linear_model_separates_colours(tiny_data):
    score = pixel_linear(tiny_data, 3, samples=100)
    assert score.mean_iou == pytest.approx(1.0)


def test_predictions_are_scored_by_name(tiny_data, tmp_path):
    folder = tmp_path / 'predictions'
    folder.mkdir()
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(folder / 'a.png')
    score = score_predictions(tiny_data, folder, 3, 'zeros')
    assert score.iou == pytest.approx((6 / 12, 0, 0))
    with pytest.raises(FileNotFoundError, match=r'a\.png: no prediction'):
        score_predictions(tiny_data, tmp_path, 3, 'none')


def test_missing_pictures_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='hr_rgb'):
        majority_class(tmp_path, 3)
