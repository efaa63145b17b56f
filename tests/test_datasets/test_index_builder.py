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
    assert message.startswith('build_index.py: error: ')
    assert 'SENSOR=FOLDER' in message
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


@pytest.fixture
def image_archive(tmp_path):
    """Images in class folders, as users have them: no georeference."""
    import cv2
    rng = np.random.default_rng(0)
    for name in ('Forest/Forest_1.jpg', 'Forest/Forest_2.png',
                 'River/River_1.jpg', 'River/River_2.tif',
                 'River/River_3.jpg'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (16, 16, 3), np.uint8))
    return tmp_path


def write_lists(root, **splits):
    for split, lines in splits.items():
        (root / f'{split}.txt').write_text('\n'.join(lines) + '\n')
    return {split: root / f'{split}.txt' for split in splits}


@pytest.mark.filterwarnings('error')
def test_lists_choose_the_images_and_their_splits(image_archive):
    lists = write_lists(
        image_archive,
        train=['River/River_2.tif', '', 'images/Forest/Forest_1.jpg'],
        val=['Forest/Forest_2.png'])
    path = index_tiles(image_archive, dict(hr_rgb='images'), lists=lists)
    tiles = json.loads(path.read_text())['tiles']
    assert [(t['split'], t['hr_rgb']) for t in tiles] == [
        ('train', ['images/Forest/Forest_1.jpg']),
        ('val', ['images/Forest/Forest_2.png']),
        ('train', ['images/River/River_2.tif'])]


def test_lists_take_labels_along(unindexed):
    folder = unindexed / 'hr_rgb'
    one = sorted(folder.glob('train/*.tif'))[1].relative_to(folder)
    other = sorted(folder.glob('val/*.tif'))[0].relative_to(folder)
    lists = write_lists(unindexed, train=[str(one)], mine=[str(other)])
    tiles = json.loads(index_tiles(
        unindexed, dict(hr_rgb='hr_rgb'), dict(land_cover='land_cover'),
        lists=lists).read_text())['tiles']
    # The list says the split, not the folder.
    assert [(t['id'], t['split'], t['land_cover']) for t in tiles] == [
        (one.stem, 'train', f'land_cover/{one}'),
        (other.stem, 'mine', f'land_cover/{other}')]


@pytest.mark.parametrize('splits, error, words', [
    (dict(train=['Forest/Forest_1.jpg', 'Forest/no.jpg', 'x.jpg']),
     FileNotFoundError, r"train.txt: names 'Forest/no.jpg'.*2 of 3 lines"),
    (dict(train=['../train.txt']), FileNotFoundError,
     '1 of 1 lines'),
    (dict(train=['Forest/Forest_1.jpg'],
          test=['images/Forest/Forest_1.jpg']), ValueError,
     "split 'test'.*listed in split 'train'"),
    (dict(train=['Forest/Forest_1.jpg'] * 2), ValueError, 'and once'),
    (dict(train=[' ']), ValueError, 'empty list'),
])
def test_refuses_wrong_lists(image_archive, splits, error, words):
    lists = write_lists(image_archive, **splits)
    with pytest.raises(error, match=words) as raised:
        index_tiles(image_archive, dict(hr_rgb='images'), lists=lists)
    assert '\n' not in str(raised.value)
    assert not (image_archive / 'index.json').exists()


def test_refuses_lists_that_are_none(image_archive):
    lists = write_lists(image_archive, train=['Forest/Forest_1.jpg'])
    with pytest.raises(ValueError, match="--split 'x' beside --list"):
        index_tiles(image_archive, dict(hr_rgb='images'), lists=lists,
                    split='x')
    lists['train'].write_bytes(b'\xff\xfe\xd8\x00')
    with pytest.raises(ValueError, match='UTF-8'):
        index_tiles(image_archive, dict(hr_rgb='images'), lists=lists)
    lists['train'].unlink()
    with pytest.raises(FileNotFoundError, match='SPLIT=FILE'):
        index_tiles(image_archive, dict(hr_rgb='images'), lists=lists)


def test_namesakes_of_two_classes_are_not_two_dates(image_archive):
    for name in ('Forest', 'River'):
        shutil.copy(image_archive / 'images/Forest/Forest_1.jpg',
                    image_archive / f'images/{name}/1.jpg')
    with pytest.raises(ValueError, match='--tile-pattern') as error:
        index_tiles(image_archive, dict(hr_rgb='images'))
    remedies = [part for part in str(error.value).split("'")
                if part.endswith('[.]')]
    assert len(remedies) == 2
    ids = []
    for pattern in remedies:
        path = index_tiles(image_archive, dict(hr_rgb='images'),
                           tile_pattern=pattern)
        ids.append({t['id']: len(t['hr_rgb'])
                    for t in json.loads(path.read_text())['tiles']})
    assert ids[0]['Forest/1'] == ids[0]['River/1'] == 1
    assert ids[1]['1'] == 2


@pytest.mark.parametrize('change, word', [
    (dict(crs='EPSG:32632'), 'expected the CRS'),
    (dict(origin=(500100.0, 5400000.0)), 'expected the bounds')])
def test_sensors_of_a_tile_on_other_ground_are_refused(
        write_raster, tmp_path, change, word):
    write_raster('hr/a.tif', np.ones((3, 40, 40), np.uint8), pixel=1.0)
    path = write_raster(
        'sar/a.tif', np.full((2, 4, 4), -9, np.float32), **change)
    with pytest.raises(RasterContractError, match=word) as error:
        index_tiles(tmp_path, dict(hr_rgb='hr', s1_grd='sar'))
    assert path in str(error.value)
    assert not list(tmp_path.glob('index.json*'))
    index_tiles(tmp_path, dict(hr_rgb='hr', s1_grd='sar'), check=False)
