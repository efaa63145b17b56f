# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from mmskysense.datasets.index_builder import find_date, index_tiles
from mmskysense.raster.band_contract import RasterContractError

ROOT = Path(__file__).parents[2]
SENSORS = dict(hr_rgb='hr_rgb', s2_l2a='s2_l2a', s1_grd='s1_grd')


@pytest.mark.parametrize('path, tags, expected', [
    ('0001/20230403.tif', None, '2023-04-03'),
    ('S2A_MSIL2A_20170613T101031_87_48.tif', None, '2017-06-13'),
    ('2019-12-31/a.tif', None, '2019-12-31'),
    ('a_2021_02_28.tif', {'TIFFTAG_DATETIME': '2020:01:01 00:00:00'},
     '2021-02-28'),
    ('a.tif', {'TIFFTAG_DATETIME': '2020:01:02 03:04:05'}, '2020-01-02'),
    ('a.tif', {'Acquisition_Date': '2020-01-02'}, '2020-01-02'),
    ('tile_20231301.tif', None, None),
    ('tile_20230231.tif', None, None),
    ('m_4709963_se_14_1.tif', None, None),
])
def test_finds_dates(path, tags, expected):
    assert find_date(path, tags) == expected


@pytest.fixture
def unindexed(sample_world, tmp_path):
    root = tmp_path / 'archive'
    for folder in (*SENSORS, 'land_cover'):
        shutil.copytree(sample_world / folder, root / folder)
    return root


def test_equals_the_index_of_the_sample_world(unindexed, sample_world):
    path = index_tiles(unindexed, SENSORS, dict(land_cover='land_cover'))
    built = json.loads(path.read_text())['tiles']
    known = json.loads((sample_world / 'index.json').read_text())['tiles']
    assert len(built) == len(known) == 10
    for ours, theirs in zip(built, known, strict=True):
        for key in ('id', 'split', 'hr_rgb', 's2_l2a', 's2_l2a_dates',
                    's1_grd', 's1_grd_dates', 'land_cover'):
            assert ours[key] == theirs[key]
        assert ours['hr_rgb_dates'] == [None]  # neither name nor tag
    assert not list(unindexed.glob('*.part'))


def test_command(unindexed, monkeypatch, capsys):
    tool = str(ROOT / 'tools/dataset_converters/build_index.py')
    monkeypatch.setattr(sys, 'argv', [
        tool, str(unindexed), 'hr_rgb=hr_rgb', '--split', 'x', '--no-check'])
    runpy.run_path(tool, run_name='__main__')
    assert capsys.readouterr().out.strip() == str(unindexed / 'index.json')
    monkeypatch.setattr(sys, 'argv', [tool, str(unindexed), 'hr_rgb=none'])
    with pytest.raises(SystemExit) as error:
        runpy.run_path(tool, run_name='__main__')
    message = str(error.value)
    assert message.startswith('error: ') and 'SENSOR=FOLDER' in message
    assert '\n' not in message


def test_pattern_and_failures(write_raster, tmp_path):
    pixels = np.ones((3, 4, 4), np.uint8)
    for name in ('hr/a_x.tif', 'hr/b_x.tif'):
        write_raster(name, pixels)
    path = index_tiles(tmp_path, dict(hr_rgb='hr'), tile_pattern='([ab])_x')
    tiles = json.loads(path.read_text())['tiles']
    assert [t['id'] for t in tiles] == ['a', 'b']
    assert {t['split'] for t in tiles} == {'train'}
    before = path.read_bytes()

    with pytest.raises(ValueError, match='tile-pattern'):
        index_tiles(tmp_path, dict(hr_rgb='hr'), tile_pattern='(c)_x')
    with pytest.raises(RasterContractError, match='expects bands|expects 10'):
        index_tiles(tmp_path, dict(s2_l2a='hr'))
    with pytest.raises(KeyError, match='landsat'):
        index_tiles(tmp_path, dict(landsat='hr'))
    with pytest.raises(ValueError, match='lie in the archive'):
        index_tiles(tmp_path / 'hr', dict(hr_rgb='.'),
                    output=tmp_path / 'index.json')
    (tmp_path / 'none').mkdir()
    with pytest.raises(FileNotFoundError, match='found none'):
        index_tiles(tmp_path, dict(hr_rgb='none'))
    for split in ('train', 'val'):
        write_raster(f'hr/{split}/c.tif', pixels)
    with pytest.raises(ValueError, match="split 'val' and in 'train'"):
        index_tiles(tmp_path, dict(hr_rgb='hr'))
    assert path.read_bytes() == before
