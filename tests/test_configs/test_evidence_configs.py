# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The setting of the evidence page trains and is probed as it stands."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.runner import Runner
from PIL import Image

from mmskysense.datasets.index_builder import index_tiles
from mmskysense.sensors import SENSORS
from mmskysense.utils.config import read_config

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/evidence/eurosat_pretrain.py'
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


LAND_COVER = CONFIG.with_name('land_cover_pretrain.py')
TABLE = ROOT / ('configs/_base_/class_names/'
                'sample_world_osm_all-MiniLM-L6-v2.npz')


@pytest.fixture
def chips(tmp_path, write_raster):
    """Six chips of Sentinel-1 and Sentinel-2 over a label raster."""
    random = np.random.default_rng(0)
    for number in range(6):
        name = f'{"train" if number < 4 else "test"}/{number}.tif'
        label = random.integers(1, 3, (1, 32, 32), dtype=np.uint8)
        write_raster(f'land_cover/{name}', label)
        for sensor in ('s2_l2a', 's1_grd'):
            bands = [band.name for band in SENSORS[sensor].bands]
            values = random.normal(
                10.0, 3.0, (len(bands), 32, 32)) * label
            write_raster(
                f'{sensor}/{name}',
                (values * 100).astype(np.int16) if sensor == 's2_l2a'
                else (-values).astype(np.float32), descriptions=bands)
    index_tiles(tmp_path, dict(s2_l2a='s2_l2a', s1_grd='s1_grd'),
                labels=dict(land_cover='land_cover'))
    return tmp_path


def test_land_cover_is_pretrained_with_names_and_probed(chips, tmp_path):
    cfg = read_config(str(LAND_COVER), {
        'data_root': str(chips), 'train_cfg.max_iters': 1,
        'work_dir': str(tmp_path), 'model.text_head.table': str(TABLE),
        'train_dataloader.batch_size': 2, 'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'default_hooks.logger.interval': 1,
        'experiment_name': 'land-cover'})
    runner = Runner.from_cfg(cfg)
    runner.train()
    text = runner.message_hub.get_scalar('train/loss_text').current()
    assert np.isfinite(text) and text > 0
    record = tmp_path / 'probe.json'
    subprocess.run(
        [sys.executable, str(ROOT / 'tools/probe.py'), str(LAND_COVER),
         str(tmp_path / 'iter_1.pth'), '--method', 'linear', '--dataset',
         str(CONFIG.with_name('land_cover_probe.py')), '--features', 'fused',
         '--pixels', '500', '--json', str(record), '--quiet', '--data-root',
         str(chips)], check=True, timeout=300)
    found = json.loads(record.read_text())
    assert found['feature_dims'] == 192
    assert (found['n_train'], found['n_test']) == (4, 2)
    assert 0 <= found['miou'] <= 1
