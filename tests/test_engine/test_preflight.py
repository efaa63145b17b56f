# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Bad data is named before the first iteration."""

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmskysense.datasets import MultiSensorTileDataset
from mmskysense.datasets.transforms import LoadMultiSensorTile
from mmskysense.engine.preflight import (
    check_data_roots,
    check_datasets,
    data_refusal,
)
from mmskysense.raster.band_contract import RasterContractError

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')


@pytest.fixture
def world(sample_world, tmp_path):
    return Path(shutil.copytree(sample_world, tmp_path / 'world'))


@pytest.fixture
def dataset(world):
    return MultiSensorTileDataset(
        data_root=str(world), sensors=SENSORS, split='train',
        pipeline=[LoadMultiSensorTile(SENSORS)])


def middle(world):
    return sorted((world / 'hr_rgb/train').glob('*.tif'))[3]


def test_good_data_passes(dataset):
    check_datasets(dataset)


@pytest.mark.parametrize('damage, error, word', [
    (lambda p: p.unlink(), FileNotFoundError, 'no such file'),
    (lambda p: p.write_bytes(b''), RasterContractError, '0 bytes'),
    (lambda p: p.write_bytes(p.read_bytes()[:-500]), RasterContractError,
     'truncated'),
    (lambda p: p.write_bytes(b'text' * 99), RasterContractError, 'GDAL')])
def test_damage_in_the_middle_is_named(dataset, world, damage, error, word):
    path = middle(world)
    damage(path)
    with pytest.raises(error, match=word) as caught:
        check_datasets(dataset)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_missing_data_root_names_the_remedy(tmp_path):
    cfg = Config(dict(train_dataloader=dict(dataset=dict(
        dataset=dict(data_root=str(tmp_path / 'none'))))))
    with pytest.raises(FileNotFoundError, match='none.*make_sample_data'):
        check_data_roots(cfg, 'train', 'val')


def test_an_error_of_a_worker_becomes_one_line():
    text = ('Caught RasterContractError in DataLoader worker process 0.\n'
            'Original Traceback:\n  File "x"\nmmskysense.raster.'
            'band_contract.RasterContractError: a.tif: truncated\n')
    with pytest.raises(SystemExit) as end, data_refusal('train.py'):
        raise RasterContractError(text)
    assert end.value.code.startswith('train.py: error: a.tif: truncated')
