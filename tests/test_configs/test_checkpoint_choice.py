# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""No config chooses a checkpoint by what it is tested on."""

from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'
#: Nothing to choose by: pre-training, and parts of configs.
FOLDERS = sorted(path for path in CONFIGS.iterdir()
                 if path.is_dir() and path.name != '_base_')


def samples_of(dataset):
    """Which samples a data set has, however they are loaded."""
    return {key: value for key, value in dataset.items()
            if key not in ('pipeline', 'test_mode')}


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda path: path.name)
def test_the_best_is_not_chosen_on_test_data(folder):
    chosen = []
    for path in sorted(folder.glob('*.py')):
        try:
            cfg = Config.fromfile(str(path))
        except ModuleNotFoundError:  # a host that is not installed
            continue
        hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
        val, test = cfg.get('val_dataloader'), cfg.get('test_dataloader')
        if val and test and hook.get('save_best') and \
                samples_of(val.dataset) == samples_of(test.dataset):
            chosen.append(path.name)
    assert not chosen
