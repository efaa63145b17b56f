# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""BigEarthNet version 2: the table, its flags, folders by tile and scene."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from segmentation_miniatures import write_tif

from mmskysense.datasets import BigEarthNetDataset
from mmskysense.datasets.conversion import DataError, bigearthnet_v2
from mmskysense.datasets.conversion.bigearthnet import convert_bigearthnet

pyarrow = pytest.importorskip('pyarrow')
parquet = pytest.importorskip('pyarrow.parquet')

BANDS = dict(B01=6, B02=1, B03=1, B04=1, B05=2, B06=2, B07=2, B08=1, B8A=2,
             B09=6, B11=2, B12=2)
TILE = 'S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP'
SCENE = 'S1A_IW_GRDH_1SDV_20170614T165043'


def write_table(root, rows):
    parquet.write_table(pyarrow.Table.from_pylist(rows),
                        root / bigearthnet_v2.TABLE)


def write_download(root):
    """Six patches; one with snow, one with clouds; returns the rows too."""
    random = np.random.default_rng(0)
    rows = []
    for n in range(6):
        s2, s1 = f'{TILE}_26_{n}', f'{SCENE}_33UUP_26_{n}'
        folder = root / 'BigEarthNet-S2' / TILE / s2
        for band, factor in BANDS.items():
            image = random.integers(300, 4000, (1, 12 // factor, 12 // factor))
            write_tif(folder / f'{s2}_{band}.tif', image.astype(np.uint16))
        for band in ('VV', 'VH'):
            write_tif(root / 'BigEarthNet-S1' / SCENE / s1 /
                      f'{s1}_{band}.tif',
                      random.uniform(-25, -5, (1, 12, 12)).astype(np.float32))
        rows.append(dict(
            patch_id=s2, s1_name=s1, labels=['Pastures', 'Arable land'],
            split=('train', 'validation', 'test')[n % 3], country='Austria',
            contains_seasonal_snow=n == 3, contains_cloud_or_shadow=n == 4))
    write_table(root, rows)
    return rows


def convert(root, out, sensors=('s2_l2a', 's1_grd'), partial=True):
    return convert_bigearthnet(str(root), str(out), sensors=sensors,
                               partial=partial)


def test_the_table_gives_labels_splits_and_pairs(tmp_path):
    root = tmp_path / 'download'
    write_download(root)
    report, summary = convert(root, tmp_path / 'data')
    assert summary['version'] == 2 and len(report.results) == 4
    assert summary['snow_or_clouds'] == dict(train=1, val=1, test=0)
    dataset = BigEarthNetDataset(data_root=str(tmp_path / 'data'),
                                 split='test', sensors=('s2_l2a', 's1_grd'),
                                 check_files='open')
    assert [sample['tile_id'] for sample in dataset] == [
        f'{TILE}_26_2', f'{TILE}_26_5']
    sample = dataset[0]
    assert sample['acquired'] == dict(s2_l2a=['2017-06-13'],
                                      s1_grd=['2017-06-14'])
    names = dataset.metainfo['classes']
    assert [names[n] for n in np.flatnonzero(sample['gt_score'])] == [
        'Arable land', 'Pastures']


def test_one_sensor_needs_one_archive(tmp_path):
    root = tmp_path / 'download'
    write_download(root)
    shutil.rmtree(root / 'BigEarthNet-S1')
    convert(root, tmp_path / 'data', sensors=('s2_l2a', ))
    tiles = json.loads((tmp_path / 'data/train.json').read_text())['tiles']
    assert [sorted(tile) for tile in tiles] == [
        ['id', 'labels', 's2_l2a', 's2_l2a_dates', 'split']]
    with pytest.raises(DataError, match='Sentinel-1 GRD patches'):
        convert(root, tmp_path / 'other')
    with pytest.raises(DataError, match='1 of 237871 in train'):
        convert(root, tmp_path / 'other', ('s2_l2a', ), partial=False)


@pytest.mark.parametrize('change,words', [
    (dict(split='dev'), "row 2: .*found 'dev'"),
    (dict(patch_id=None), 'row 2: expected a name as patch_id, found None'),
    (dict(labels=['Lava']), "row 2: .*19 classes, found 'Lava'"),
    (dict(patch_id=f'{TILE}_26_0'), 'there twice'),
    (dict(s1_name=f'{SCENE}_33UUP_9_9'), '33UUP_9_9')])
def test_a_wrong_row_is_named(tmp_path, change, words):
    root = tmp_path / 'download'
    rows = write_download(root)
    rows[1].update(change)
    write_table(root, rows)
    with pytest.raises(DataError, match=words):
        convert(root, tmp_path / 'data')


def test_a_damaged_table_is_named(tmp_path, monkeypatch):
    root = tmp_path / 'download'
    rows = write_download(root)
    write_table(root, [{k: v for k, v in row.items() if k != 'labels'}
                       for row in rows])
    with pytest.raises(DataError, match="metadata.parquet: .*'labels'"):
        convert(root, tmp_path / 'data')
    (root / bigearthnet_v2.TABLE).write_bytes(b'no table')
    with pytest.raises(DataError, match='metadata.parquet: expected a table'):
        convert(root, tmp_path / 'data')
    monkeypatch.setitem(sys.modules, 'pyarrow.parquet', None)
    with pytest.raises(ImportError, match='pip install pyarrow'):
        convert(root, tmp_path / 'data')


def test_labels_that_are_no_list_are_named(tmp_path):
    root = tmp_path / 'download'
    rows = write_download(root)
    write_table(root, [dict(row, labels='Pastures') for row in rows])
    with pytest.raises(DataError, match="row 1: expected a list of labels, "
                       "found 'Pastures'"):
        convert(root, tmp_path / 'data')
