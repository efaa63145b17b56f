# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Bad data is named before the first iteration."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from mmengine.config import Config

from mmskysense.datasets import MultiSensorTileDataset
from mmskysense.datasets.transforms import (
    LoadGeoTIFF,
    LoadGeoTIFFAnnotations,
    LoadMultiSensorTile,
)
from mmskysense.engine.preflight import (
    check_data_roots,
    check_datasets,
    data_refusal,
)
from mmskysense.raster.band_contract import RasterContractError
from mmskysense.utils.command_line import UsageError

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


def rewrite(path, values=None, **profile):
    """Write a raster anew with other pixels or another profile."""
    with rasterio.open(path) as file:
        profile = {**file.profile, **profile}
        names = file.descriptions
        values = file.read() if values is None else values(file.read())
    profile.update(dtype=values.dtype)
    with rasterio.open(path, 'w', **profile) as file:
        file.write(values)
        file.descriptions = names


@pytest.mark.parametrize('sensor, damage, word', [
    ('s2_l2a', dict(crs='EPSG:32632'), 'expected the CRS'),
    ('s1_grd', dict(transform=rasterio.Affine(10, 0, 0, 0, -10, 0)),
     'expected the bounds'),
    ('s2_l2a', dict(values=lambda v: (v / 1e4).astype('float32')),
     'scale=10000'),
    ('s2_l2a', dict(values=lambda v: v.astype('uint8'), nodata=None),
     'found uint8'),
    ('s1_grd', dict(values=lambda v: 10 ** (v / 10)), 'linear power')])
def test_one_bad_date_of_a_series_is_named(dataset, world, sensor, damage,
                                           word):
    # The loader draws one date of many; the check reads all of them.
    dataset.pipeline.transforms[0].num_dates = dict.fromkeys(SENSORS, 1)
    path = sorted((world / sensor / 'train/0003').glob('*.tif'))[2]
    rewrite(path, **damage)
    with pytest.raises(RasterContractError, match=word) as caught:
        check_datasets(dataset)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_the_check_draws_nothing_and_changes_no_loader(dataset):
    loader = dataset.pipeline.transforms[0]
    loader.num_dates = dict.fromkeys(SENSORS, 1)
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    check_datasets(dataset)
    assert np.random.rand() == expected
    assert loader.num_dates == dict.fromkeys(SENSORS, 1)


@pytest.mark.parametrize('folder, damage, word', [
    ('hr_rgb', dict(values=np.zeros_like, nodata=0), 'measured pixel'),
    ('hr_rgb', dict(values=lambda v: v[:, :9, :9], height=9, width=9),
     'expected the size'),
    ('land_cover', dict(crs='EPSG:32632'), 'expected the CRS'),
    ('land_cover', dict(values=lambda v: v + 90), 'expected class ids')])
def test_image_and_label_are_loaded_before_training(world, folder, damage,
                                                    word):
    segmentation = pytest.importorskip('mmseg.datasets')
    pytest.importorskip('mmseg.utils').register_all_modules(False)
    dataset = segmentation.BaseSegDataset(
        data_root=str(world), img_suffix='.tif', seg_map_suffix='.tif',
        data_prefix=dict(
            img_path='hr_rgb/train', seg_map_path='land_cover/train'),
        metainfo=dict(classes=tuple('abcdefg')),
        pipeline=[LoadGeoTIFF(), LoadGeoTIFFAnnotations(num_classes=7)])
    check_datasets(dataset)
    path = middle(world).parents[2] / folder / 'train' / middle(world).name
    rewrite(path, **damage)
    with pytest.raises(RasterContractError, match=word) as caught:
        check_datasets(dataset)
    assert path.name in str(caught.value)


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


def test_a_wrong_option_of_the_optimizer_becomes_one_line():
    with pytest.raises(SystemExit, match='train.py: error: rate=2'), \
            data_refusal('train.py'):
        raise UsageError('rate=2: expected at most 1')
    with pytest.raises(ValueError, match='a defect'), \
            data_refusal('train.py'):
        raise ValueError('a defect')
