# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Boxes are drawn where they are, without imagery."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

PATH = Path(__file__).parents[2] / 'tools/analysis_tools/draw_boxes.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('draw_boxes', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_corners_of_both_kinds(tool):
    flat = tool.corners_of(torch.tensor([[2.0, 4, 6, 10]]))
    turned = tool.corners_of(torch.tensor([[4.0, 7, 6, 4, np.pi / 2]]))
    assert {tuple(point) for point in flat[0].round().tolist()} == {
        tuple(point) for point in turned[0].round().tolist()}
    assert tool.corners_of(torch.zeros(0, 5)).shape == (0, 4, 2)


def test_truth_left_and_predictions_right(tool, tmp_path):
    boxes = torch.tensor([[10.0, 10, 30, 40]])
    sample = dict(
        ori_shape=(50, 50),
        gt_instances=dict(bboxes=boxes, labels=torch.tensor([0])),
        pred_instances=dict(bboxes=boxes.repeat(2, 1),
                            labels=torch.tensor([1, 2]),
                            scores=torch.tensor([0.9, 0.1])))
    (tmp_path / 'r.pkl').write_bytes(pickle.dumps([sample]))
    tool.main([str(tmp_path / 'r.pkl'), '--out', str(tmp_path / 'a.png'),
               '--width', '106'])
    found = np.asarray(Image.open(tmp_path / 'a.png')).astype(int)
    assert found.shape == (56, 106, 3)
    # Lines are antialiased: nearly the class's colour.
    assert np.abs(found[25, 10] - tool._COLOURS[0]).max() < 30
    assert np.abs(found[25, 56 + 10] - tool._COLOURS[1]).max() < 30
    assert found[25, 20].tolist() == [255, 255, 255]
    (tmp_path / 'r.pkl').write_bytes(pickle.dumps([dict(a=1)]))
    with pytest.raises(SystemExit, match='true and predicted boxes'):
        tool.main([str(tmp_path / 'r.pkl'), '--out', 'x.png'])
