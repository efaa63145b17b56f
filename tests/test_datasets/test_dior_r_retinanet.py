# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The rotated RetinaNet of DIOR-R is mmrotate's, and runs."""

import math
import multiprocessing.dummy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).parent))
from test_dior import write_download

from mmskysense.datasets.conversion.dior import convert_dior
from mmskysense.engine import use_test_time_augmentation

CONFIG = ('configs/oriented_detection/skysense_v2_base_rotated-retinanet_fpn_'
          '8xb2-12e_dior-r-800x800.py')
STOCK = 'mmrotate::rotated_retinanet/rotated-retinanet-rbox-le90_r50_fpn_1x_dota.py'  # noqa: E501


@pytest.fixture
def config():
    pytest.importorskip('mmrotate')
    return Config.fromfile(str(Path(__file__).parents[2] / CONFIG))


def test_only_encoder_widths_and_classes_are_ours(config):
    from mmengine.hub import get_config
    model, stock = config.model.to_dict(), get_config(STOCK).model.to_dict()
    for ours in (model, stock):
        for key in ('data_preprocessor', 'backbone'):
            ours.pop(key)
        ours['neck'].pop('in_channels')
        ours['bbox_head'].pop('num_classes')
    assert model == stock


def test_it_trains_validates_and_tests(config, tmp_path, monkeypatch):
    pytest.importorskip('mmcv._ext')
    monkeypatch.setattr('mmrotate.evaluation.functional.mean_ap.get_context',
                        lambda kind: multiprocessing.dummy)
    write_download(tmp_path / 'in')
    convert_dior(str(tmp_path / 'in'), str(tmp_path / 'out'), 'oriented',
                 partial=True)
    for phase in ('train', 'val', 'test'):
        loader = config[f'{phase}_dataloader']
        loader.dataset.data_root = str(tmp_path / 'out')
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        for transform in loader.dataset.pipeline:
            if 'scale' in transform:
                transform.scale = (96, 96)
    config.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    config.model.neck.update(in_channels=[48, 96, 192, 384], out_channels=32)
    config.model.bbox_head.update(in_channels=32, feat_channels=32)
    config.model.test_cfg.update(nms_pre=50, max_per_img=50)
    config.train_cfg.update(max_epochs=2, val_interval=2)
    config.default_hooks.logger.interval = 1
    config.work_dir = str(tmp_path / 'work')
    runner = Runner.from_cfg(config)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 4 and all(map(math.isfinite, losses))
    scores = runner.test()
    assert 0 <= scores['dota/mAP'] <= 1
    use_test_time_augmentation(config)
    config.update(experiment_name='views', load_from=None)
    views = Runner.from_cfg(config)
    views.model.module.load_state_dict(runner.model.state_dict())
    assert 0 <= views.test()['dota/mAP'] <= 1
