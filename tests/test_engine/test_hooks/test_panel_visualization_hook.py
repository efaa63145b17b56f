# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pictures of what a segmentor predicted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData

from mmskysense.engine import PanelVisualizationHook
from mmskysense.engine.hooks.panel_visualization_hook import (
    _class_names,
    side_by_side,
)

PALETTE = [[10, 20, 30], [200, 0, 0]]


class Recorder:

    def __init__(self):
        self.pictures = {}

    def add_image(self, name, image, step):
        self.pictures[name, step] = image


def run(inputs, samples, sensor=None, **options):
    runner = SimpleNamespace(
        visualizer=Recorder(),
        model=SimpleNamespace(
            data_preprocessor=SimpleNamespace(sensor=sensor)),
        test_dataloader=SimpleNamespace(dataset=SimpleNamespace(
            metainfo=dict(palette=PALETTE, classes=('field', 'water')))))
    hook = PanelVisualizationHook(**{'draw': True, **options})
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, dict(inputs=inputs), samples)
    return runner.visualizer.pictures


def sample_of(truth, prediction, **meta):
    sample = BaseDataElement(metainfo=meta)
    sample.gt_sem_seg = PixelData(data=truth)
    sample.pred_sem_seg = PixelData(data=prediction)
    return sample


def test_dates_truth_prediction_and_errors():
    truth = torch.zeros(1, 8, 8, dtype=torch.long)
    truth[0, :, 4:] = 1
    truth[0, 0] = 255
    found = torch.ones(1, 8, 8, dtype=torch.long)
    inputs = dict(
        images=dict(hr_rgb=[torch.rand(3, 3, 8, 8)],
                    s2_l2a=[torch.rand(2, 10, 2, 2)]),
        valid=dict(hr_rgb=[torch.ones(3, 8, 8, dtype=torch.bool)],
                   s2_l2a=[torch.ones(2, 2, 2, dtype=torch.bool)]))
    pictures = run(inputs, [sample_of(truth, found, tile_id='a/b')])
    (name, step), picture = pictures.popitem()
    assert (name, step) == ('a_b', 1)
    # Two dates, truth, prediction, errors; 4 pixels between them.
    assert picture.shape == (8, 5 * 8 + 4 * 4, 3)
    shown = [picture[:, 12 * i:12 * i + 8] for i in range(5)]
    assert shown[2][3, 0].tolist() == PALETTE[0]
    assert shown[2][3, 7].tolist() == PALETTE[1]
    assert (shown[3] == PALETTE[1]).all()
    wrong = (shown[4] == [214, 40, 57]).all(-1)
    assert wrong[1:, :4].all() and not wrong[0].any()
    assert not wrong[:, 4:].any()


def test_one_image_of_ten_bands_and_the_limit():
    from mmskysense.sensors import get_sensor
    image = torch.rand(10, 8, 8)
    image[:, 0, 0] = torch.nan
    label = torch.zeros(1, 8, 8, dtype=torch.long)
    samples = [sample_of(label, label, img_path=f'x/{n}.tif')
               for n in range(3)]
    pictures = run([image] * 3, samples, get_sensor('s2_l2a'), max_images=2)
    assert set(pictures) == {('0', 1), ('1', 2)}
    assert pictures['0', 1].shape == (8, 4 * 8 + 3 * 4, 3)
    assert pictures['0', 1][0, 0].tolist() == [235, 235, 235]
    assert run([image], samples[:1], draw=False) == {}
    with pytest.raises(ValueError, match='max_images=0'):
        PanelVisualizationHook(max_images=0)


def test_coarser_pictures_are_enlarged_by_whole_numbers():
    small = np.zeros((3, 3, 3), np.uint8)
    large = np.ones((7, 7, 3), np.uint8)
    row = side_by_side([small, large])
    assert row.shape == (7, 6 + 4 + 7, 3)
    assert (row[:6, :6] == 0).all() and (row[6, :6] == 255).all()


def scene(scores, **truth):
    sample = BaseDataElement(metainfo=dict(tile_id='place'))
    sample.pred_score = torch.tensor(scores)
    for name, value in truth.items():
        setattr(sample, name, torch.tensor(value))
    return sample


def test_a_scene_shows_every_sensor_and_its_classes():
    from mmskysense.sensors import get_sensor
    valid = torch.ones(2, 2, 2, dtype=torch.bool)
    valid[0] = False  # the second date is the clear one
    series = torch.zeros(2, 10, 2, 2)
    series[1] = torch.rand(10, 2, 2) + 1
    inputs = dict(
        images=dict(s2_l2a=[series], hr_rgb=[torch.rand(1, 3, 8, 8)],
                    s1_grd=[torch.zeros(0, 2, 2, 2)]),
        valid=dict(s2_l2a=[valid], s1_grd=[torch.zeros(0, 2, 2)],
                   hr_rgb=[torch.ones(1, 8, 8, dtype=torch.bool)]))
    (name, _), picture = run(
        inputs, [scene([0.2, 0.8], gt_label=[1])]).popitem()
    assert name == 'place'
    # Two panels of 8 pixels and a gap, enlarged 38 times; two lines below.
    assert picture.shape == (8 * 38 + 2 * 22 + 4, 20 * 38, 3)
    shown = picture[:8 * 38, 12 * 38:]
    assert not (shown == 235).all(-1).any(), 'the date without pixels'
    assert picture[8 * 38:].min() < 100, 'no text'
    image = torch.rand(10, 4, 4)
    assert run([image], [scene([0.9, 0.1], gt_label=[0])],
               get_sensor('s2_l2a'))


@pytest.mark.parametrize('sample, lines', [
    (scene([0.2, 0.8], gt_label=[0]), ['true: field', 'found: water 0.80']),
    (scene([0.6, 0.5], gt_score=[0.0, 1.0]),
     ['true: water', 'found: field 0.60, water 0.50']),
    (scene([0.3, 0.1], gt_score=[1.0, 1.0]),
     ['true: field, water', 'found: field 0.30']),
    (scene([0.3, 0.7]), ['found: water 0.70'])])
def test_class_names(sample, lines):
    assert _class_names(sample, ('field', 'water')) == lines
