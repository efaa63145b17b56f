# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A head that expects another backbone's channels is named."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmskysense.engine.channel_check import check_channels
from mmskysense.utils.command_line import UsageError

CONFIGS = Path(__file__).parents[2] / 'configs'
SEGMENTATION = ('segmentation/skysense_v2_tiny_upernet_1xb4-2k_'
                'sample-world-256x256.py')
DETECTION = ('detection/skysense_v2_tiny_faster-rcnn_fpn_1xb4-2k_'
             'sample-world-320x320.py')


def build(name, **changes):
    cfg = Config.fromfile(str(CONFIGS / name))
    init_default_scope(cfg.default_scope)
    cfg.merge_from_dict({f'model.{key}': value
                         for key, value in changes.items()})
    return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', [
    path.relative_to(CONFIGS).as_posix()
    for path in sorted(CONFIGS.glob('*/*tiny*sample-world-*x*.py'))
    if path.parent.name != 'skysense_v2'])
def test_our_configs_fit(name):
    if name.startswith('detection'):
        pytest.importorskip('mmcv._ext')
    check_channels(build(name))


@pytest.mark.parametrize(('name', 'change', 'words'), [
    (SEGMENTATION, {'decode_head.in_channels': [96, 192, 384, 768]},
     r'model.decode_head.in_channels=.*768.*: expected .48, 96, 192, 384.'),
    (SEGMENTATION, {'auxiliary_head.in_channels': 1024},
     'model.auxiliary_head.in_channels=1024: expected 192'),
    (DETECTION, {'neck.in_channels': [256, 512, 1024, 2048]},
     r'model.neck.in_channels=.256, .*SkySenseV2 before it')])
def test_other_channels_are_refused(name, change, words):
    if name == DETECTION:
        pytest.importorskip('mmcv._ext')
    with pytest.raises(UsageError, match=words):
        check_channels(build(name, **change))


def test_models_without_a_known_backbone_pass():
    check_channels(nn.Linear(1, 1))
