# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The truth, given as prediction, has the best score, and other classes not.

Through each config's own test data set and evaluator: class ids, ignored
values, pixels of the file against those of the input, and the metric's
options have to fit, whatever a model does.
"""

import multiprocessing.dummy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

sys.path.insert(0, str(Path(__file__).parent))
import test_bigearthnet
import test_dior
import test_fair1m
import test_fmow_sentinel
import test_levir_cd
import test_oscd
import test_scene_datasets
import test_segmentation_configs as segmentation
import test_treesatai

from mmskysense.datasets.conversion.aid import convert_aid
from mmskysense.datasets.conversion.bigearthnet import convert_bigearthnet
from mmskysense.datasets.conversion.dior import convert_dior
from mmskysense.datasets.conversion.fair1m import convert_fair1m
from mmskysense.datasets.conversion.fmow_sentinel import convert_fmow_sentinel
from mmskysense.datasets.conversion.levir_cd import convert_levir_cd
from mmskysense.datasets.conversion.oscd import convert_oscd
from mmskysense.datasets.conversion.resisc45 import convert_resisc45
from mmskysense.datasets.conversion.treesatai import convert_treesatai

ROOT = Path(__file__).parents[2]
SENSORS = dict(sensors=('s2_l2a', 's1_grd'))
# Part of a config's name -> writer, converter and its options.
SETS = {
    **{name: (write, convert, options)
       for name, (write, convert, options) in segmentation.DATASETS.items()},
    'levir-cd': (test_levir_cd.write_download, convert_levir_cd,
                 dict(size=32)),
    'oscd': (test_oscd.write_download, convert_oscd, dict(size=32)),
    'aid': (lambda root: test_scene_datasets.write_download(
        root, test_scene_datasets.COLLECTIONS['aid']), convert_aid, {}),
    'resisc45': (lambda root: test_scene_datasets.write_download(
        root, test_scene_datasets.COLLECTIONS['resisc45']),
        convert_resisc45, {}),
    'bigearthnet': (test_bigearthnet.write_download, convert_bigearthnet,
                    SENSORS),
    'fmow-sentinel': (test_fmow_sentinel.write_download,
                      convert_fmow_sentinel, {}),
    'treesatai': (test_treesatai.write_download, convert_treesatai,
                  dict(dates=1)),
    'dior': (test_dior.write_download, convert_dior, {}),
    'dior-r': (test_dior.write_download, convert_dior,
               dict(boxes='oriented')),
    'fair1m': (test_fair1m.write_download, convert_fair1m,
               dict(size=64, overlap=32)),
}
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for task in ('segmentation', 'change_detection', 'multi_modal',
                 'classification', 'detection', 'oriented_detection')
    for path in (ROOT / 'configs' / task).glob('*.py')
    if any(f'_{name}-' in path.name for name in SETS))


def set_of(config):
    return max((name for name in SETS if f'_{name}-' in config), key=len)


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    """A function that writes and converts a miniature, once a set."""
    done = {}

    def convert(name):
        if name not in done:
            root = tmp_path_factory.mktemp(name)
            (root / 'in').mkdir()
            write, converter, options = SETS[name]
            write(root / 'in')
            converter(str(root / 'in'), str(root / 'out'), partial=True,
                      **options)
            done[name] = root / 'out'
        return done[name]

    return convert


def give_truth(sample, classes, shift):
    """Predict the truth, with other classes if ``shift`` is not 0."""
    if 'gt_sem_seg' in sample:
        truth = sample.gt_sem_seg.data
        sample.pred_sem_seg = PixelData(
            data=torch.where(truth < classes, (truth + shift) % classes, 0))
    elif 'gt_instances' in sample:
        truth = sample.gt_instances
        sample.pred_instances = InstanceData(
            bboxes=getattr(truth.bboxes, 'tensor', truth.bboxes),
            labels=(truth.labels + shift) % classes,
            scores=torch.ones(len(truth.labels)))
    else:
        labels = sample.gt_label if 'gt_label' in sample else \
            sample.gt_score.nonzero().flatten()
        sample.set_pred_score(torch.zeros(classes).index_fill(
            0, (labels + shift) % classes, 1.0))


def score(cfg, data_root, shift):
    part = cfg.test_dataloader.dataset
    part.data_root = str(data_root)
    dataset = ROOT_DATASETS.build(part)
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    classes = len(dataset.metainfo['classes'])
    present = set()
    for entry in dataset:
        sample = entry['data_samples']
        give_truth(sample, classes, shift)
        if 'gt_score' in sample:
            present |= set(sample.gt_score.nonzero().flatten().tolist())
        evaluator.process([sample], None)
    found = evaluator.evaluate(len(dataset))
    if 'multi-label/mAP' in found:
        # A class of which there is no sample counts as 0 in mmpretrain.
        found['multi-label/mAP'] *= classes / len(present)
    return found


@pytest.mark.parametrize('name', CONFIGS)
def test_the_truth_scores_best(name, converted, monkeypatch):
    host = 'mmrotate' if 'oriented' in name else 'mmengine'
    pytest.importorskip(host)
    if 'detection/' in name and 'change' not in name:
        pytest.importorskip('mmcv._ext')
    if host == 'mmrotate':
        monkeypatch.setattr(
            'mmrotate.evaluation.functional.mean_ap.get_context',
            lambda kind: multiprocessing.dummy)
    cfg = Config.fromfile(str(ROOT / name))
    init_default_scope(cfg.default_scope)
    data = converted(set_of(name))
    best, other = (score(cfg, data, shift) for shift in (0, 1))
    for metric, value in best.items():
        assert value == pytest.approx(
            1.0 if metric.startswith(('dota', 'pascal')) else 100.0), metric
        # What has changed between two months is the same whatever the
        # classes; a class that all samples of a miniature have is ranked
        # right by any scores.
        worst = {'SCS': 50.0, 'BC': 100.0, 'multi-label/mAP': 100.1}.get(
            metric, 50.0 if 'micro' in metric else 0.0)
        assert not other[metric] > worst, metric
