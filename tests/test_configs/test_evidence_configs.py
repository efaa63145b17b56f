# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The setting of the evidence page trains and is probed as it stands."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.runner import Runner
from PIL import Image

from mmskysense.datasets.index_builder import index_tiles
from mmskysense.utils.config import read_config

CONFIG = Path(__file__).parents[2] / 'configs/evidence/eurosat_pretrain.py'
CLASSES = ('Forest', 'River')


@pytest.fixture
def archive(tmp_path):
    """Sixteen chips of two classes, laid out like EuroSAT."""
    random = np.random.default_rng(0)
    lists = {'train': [], 'subset5k_train': [], 'subset5k_val': []}
    for number in range(16):
        name = f'{CLASSES[number % 2]}/{CLASSES[number % 2]}_{number}.jpg'
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels // (1 + number % 2)).save(path)
        part = 'subset5k_train' if number < 12 else 'subset5k_val'
        lists['train'].append(name)
        lists[part].append(name)
    (tmp_path / 'splits').mkdir()
    for part, names in lists.items():
        (tmp_path / f'splits/{part}.txt').write_text('\n'.join(names))
    index_tiles(tmp_path, {'hr_rgb': 'images'},
                lists={'train': tmp_path / 'splits/train.txt'})
    return tmp_path


def test_one_option_moves_data_and_probe_and_two_steps_run(archive,
                                                           tmp_path):
    cfg = read_config(str(CONFIG), {
        'data_root': str(archive), 'train_cfg.max_iters': 2,
        'work_dir': str(tmp_path / 'work'),
        'train_dataloader.batch_size': 4, 'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'default_hooks.logger.interval': 1, 'custom_hooks.1.k': 3,
        'visualizer.name': 'evidence'})
    probe = cfg.custom_hooks[1]
    assert probe.train_list == f'{archive}/splits/subset5k_train.txt'
    Runner.from_cfg(cfg).train()
    scalars, = (tmp_path / 'work').rglob('vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [line for line in lines if 'loss' in line]
    assert len(losses) == 2
    assert {'loss_qsacl', 'loss_image', 'loss_pixel', 'loss_object',
            'loss_koleo'} <= set(losses[0])
    assert all(np.isfinite(line['loss']) for line in losses)
    probes = [line['probe/knn_top1'] for line in lines
              if 'probe/knn_top1' in line]
    assert len(probes) == 2 and all(0 <= p <= 1 for p in probes)
