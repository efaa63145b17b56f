# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pictures of what a segmentor predicted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData

from mmskysense.engine import PanelVisualizationHook
from mmskysense.engine.hooks.panel_visualization_hook import side_by_side

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
            metainfo=dict(palette=PALETTE))))
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
