# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch

from mmskysense.datasets.transforms import (
    LoadGeoTIFFAnnotations,
    LoadMultiSensorTile,
    MultiCropViews,
    MultiSensorRandomCrop,
    MultiSensorRandomFlip,
    PackMultiSensorSegInputs,
    PackPretrainInputs,
    RadiometricJitter,
)
from mmskysense.datasets.transforms.load_multi_sensor import day_of_year
from mmskysense.raster.band_contract import RasterContractError
from mmskysense.sensors import get_sensor

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')
DAYS = ('2023-03-01', '2023-01-10', '2024-12-31')


@pytest.fixture
def tile(write_raster):
    """Three dates of Sentinel-2 out of order, one of RGB, none of radar."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(1, 255, (3, 80, 80), dtype=np.uint8)
    optical = [rng.integers(100 * n, 100 * n + 50, (10, 4, 4)).astype(
        np.uint16) for n in (2, 1, 3)]
    optical[0][:, 0, 0] = 0
    names = get_sensor('s2_l2a').band_names
    return dict(
        tile_id='0001',
        paths=dict(
            hr_rgb=[write_raster('hr.tif', rgb, pixel=0.5)],
            s2_l2a=[write_raster(f's2_{n}.tif', values, names)
                    for n, values in enumerate(optical)]),
        acquired=dict(hr_rgb=[None], s2_l2a=list(DAYS)))


def test_day_of_year():
    assert [day_of_year(d) for d in (*DAYS, None, '2023-02-01T10:00')] == [
        60, 10, 366, 0, 32]
    with pytest.raises(ValueError, match='YYYY-MM-DD'):
        day_of_year('03/01/2023')


def test_loads_in_order_of_time(tile):
    results = LoadMultiSensorTile(SENSORS, label_sensor='s2_l2a').transform(
        tile)
    assert results['images']['s2_l2a'].shape == (3, 10, 4, 4)
    assert results['images']['s2_l2a'].dtype == np.float32
    # Dates sorted by time, not by day of year.
    assert results['dates']['s2_l2a'].tolist() == [10, 60, 366]
    first = results['images']['s2_l2a'].reshape(3, -1).max(1) // 100
    assert first.tolist() == [1, 2, 3]
    assert not results['valid']['s2_l2a'][1, 0, 0]
    assert results['valid']['s2_l2a'].sum() == 47
    assert results['images']['s1_grd'].shape == (0, 2, 1, 1)
    assert results['dates']['s1_grd'].shape == (0, )
    assert results['crs']['hr_rgb'].to_epsg() == 32631
    assert results['crs']['s1_grd'] is None
    assert results['transform']['s2_l2a'].a == 10
    # Another date saw the hole, so a label there can be learnt.
    assert results['ori_shape'] == (4, 4) and results['valid_mask'].all()


@pytest.mark.parametrize('random', [True, False])
def test_subset_of_dates(tile, random):
    load = LoadMultiSensorTile(
        SENSORS, num_dates=dict(s2_l2a=2), random_dates=random)
    seen = {
        tuple(load.transform(dict(tile))['dates']['s2_l2a'])
        for _ in range(12)
    }
    assert all(list(days) == sorted(days) and len(days) == 2
               for days in seen)
    assert len(seen) > 1 if random else seen == {(10, 366)}


@pytest.mark.parametrize('change, words', [
    (dict(crs='EPSG:32632'), 'EPSG:32631'),
    (dict(origin=(500100.0, 5400000.0)), 'bounds'),
])
def test_refuses_other_ground(tile, write_raster, change, words):
    path = write_raster('s1.tif', np.full((2, 4, 4), -12, np.float32),
                        ('VV', 'VH'), **change)
    tile['paths']['s1_grd'] = [path]
    with pytest.raises(RasterContractError, match=words) as error:
        LoadMultiSensorTile(SENSORS).transform(tile)
    assert str(error.value).startswith(path)


def test_refuses_what_cannot_be_stacked_or_loaded(tile, write_raster):
    path = write_raster('small.tif', np.full((10, 8, 8), 9, np.uint16),
                        get_sensor('s2_l2a').band_names, pixel=5.0)
    tile['paths']['s2_l2a'][2] = path
    with pytest.raises(RasterContractError, match='on one grid'):
        LoadMultiSensorTile(SENSORS).transform(tile)
    with pytest.raises(RasterContractError, match='0001.*found none'):
        LoadMultiSensorTile(('s1_grd', )).transform(tile)
    tile['acquired']['s2_l2a'] = ['2023-01-01']
    with pytest.raises(RasterContractError, match='3 files.*1 dates'):
        LoadMultiSensorTile(SENSORS).transform(tile)


@pytest.mark.parametrize('label_sensor', ['hr_rgb', 's2_l2a'])
def test_label_lies_on_the_grid_of_its_sensor(tile, write_raster,
                                              label_sensor):
    load = LoadMultiSensorTile(SENSORS, label_sensor=label_sensor)
    results = load.transform(tile)
    side, pixel = (80, 0.5) if label_sensor == 'hr_rgb' else (4, 10.0)
    label = np.zeros((1, side, side), np.uint8)
    results['seg_map_path'] = write_raster('label.tif', label, pixel=pixel)
    LoadGeoTIFFAnnotations().transform(results)
    results['seg_map_path'] = write_raster('other.tif', label, pixel=pixel,
                                           crs='EPSG:32632')
    with pytest.raises(RasterContractError, match='other.tif.*EPSG:32631'):
        LoadGeoTIFFAnnotations().transform(results)


def empty_dates(tile, write_raster, empty):
    names = get_sensor('s2_l2a').band_names
    for n in empty:
        tile['paths']['s2_l2a'][n] = write_raster(
            f'empty_{n}.tif', np.zeros((10, 4, 4), np.uint16), names)
    return tile


def test_refuses_tile_without_a_measured_pixel(tile, write_raster):
    tile = empty_dates(tile, write_raster, (0, 1, 2))
    with pytest.raises(RasterContractError, match='only nodata') as error:
        LoadMultiSensorTile(('s2_l2a', 's1_grd')).transform(dict(tile))
    message = str(error.value)
    assert message.startswith('0001: ') and '\n' not in message
    assert 's2_l2a' in message and 'allow_empty=True' in message
    results = LoadMultiSensorTile(
        ('s2_l2a', ), allow_empty=True).transform(dict(tile))
    assert results['images']['s2_l2a'].shape == (3, 10, 4, 4)
    assert not results['valid']['s2_l2a'].any()
    # Another sensor saw the ground.
    results = LoadMultiSensorTile(SENSORS).transform(dict(tile))
    assert results['valid']['hr_rgb'].all()


@pytest.mark.parametrize('random', [True, False])
def test_empty_dates_are_drawn_again(tile, write_raster, random):
    tile = empty_dates(tile, write_raster, (0, 1))
    load = LoadMultiSensorTile(('s2_l2a', ), num_dates=1, random_dates=random)
    for _ in range(8):
        results = load.transform(dict(tile))
        assert results['dates']['s2_l2a'].tolist() == [366]
        assert results['valid']['s2_l2a'].all()


@pytest.mark.parametrize('options', [
    dict(num_dates=dict(landsat=2)),
    dict(reader_options=dict(landsat=dict(scale=2))),
    dict(label_sensor='landsat'),
])
def test_refuses_unknown_sensors(options):
    with pytest.raises(ValueError, match='landsat'):
        LoadMultiSensorTile(SENSORS, **options)
    with pytest.raises(KeyError, match='landsat'):
        LoadMultiSensorTile(('landsat', ))


def test_reader_options(tile):
    results = LoadMultiSensorTile(
        SENSORS, reader_options=dict(s2_l2a=dict(scale=2.0))).transform(tile)
    values = results['images']['s2_l2a'][results['valid']['s2_l2a'][:, None]
                                         .repeat(10, 1)]
    assert values.min() >= 200 and values.max() < 700 and values.max() > 600


@pytest.mark.parametrize('crop', [40, (20, 60)])
def test_crops_and_flips_keep_the_ground_together(crop):
    """Every pixel carries its ground coordinates through both transforms."""
    results = dict(images={}, valid={}, img_shape=(80, 80))
    for name, side in (('hr_rgb', 80), ('s2_l2a', 4)):
        centres = (np.arange(side) + 0.5) / side
        results['images'][name] = np.stack(
            np.meshgrid(centres, centres))[None].astype(np.float32)
        results['valid'][name] = np.ones((1, side, side), bool)
    results['images']['s1_grd'] = np.zeros((0, 2, 1, 1), np.float32)
    results['valid']['s1_grd'] = np.zeros((0, 1, 1), bool)
    results['gt_seg_map'] = np.arange(6400).reshape(80, 80)
    results = MultiSensorRandomCrop(crop).transform(results)
    results = MultiSensorRandomFlip(1.0).transform(results)
    height, width = (crop, crop) if isinstance(crop, int) else crop
    high, low = results['images']['hr_rgb'], results['images']['s2_l2a']
    assert results['img_shape'] == (height, width) == high.shape[-2:]
    assert low.shape[-2:] == (height // 20, width // 20)
    pooled = high.reshape(2, height // 20, 20, width // 20, 20).mean((2, 4))
    np.testing.assert_allclose(pooled, low[0], atol=1e-6)
    labels = results['gt_seg_map']
    np.testing.assert_allclose((labels % 80 + 0.5) / 80, high[0, 0])
    np.testing.assert_allclose((labels // 80 + 0.5) / 80, high[0, 1])
    assert high[0, 0, 0, 0] > high[0, 0, 0, -1]


def test_refuses_crop_between_pixels():
    results = dict(
        images=dict(hr_rgb=np.zeros((1, 3, 80, 80)),
                    s2_l2a=np.zeros((1, 10, 4, 4))),
        img_shape=(80, 80))
    with pytest.raises(ValueError, match='multiple of 20'):
        MultiSensorRandomCrop(30).transform(results)


def test_jitter_varies_each_view_and_leaves_holes(tile):
    results = LoadMultiSensorTile(('hr_rgb', 's2_l2a')).transform(tile)
    results['valid']['hr_rgb'][:, :20] = False
    sizes = dict(hr_rgb=(32, 16), s2_l2a=(4, 4))
    views = MultiCropViews(sizes, flip_prob=0).transform(results)
    before = [v['images']['hr_rgb'].copy() for v in views['global_views']]
    RadiometricJitter(
        prob=1.0, options=dict(hr_rgb=dict(blur_prob=1.0),
                               s2_l2a=None)).transform(views)
    for view, old in zip(views['global_views'], before, strict=True):
        new, seen = view['images']['hr_rgb'], view['valid']['hr_rgb'][0]
        assert (new[0][:, ~seen] == 0).all()
        assert not np.allclose(new[0][:, seen], old[0][:, seen])
        assert new.min() >= 0 and new.max() <= 255
        # It still shows the same: what was bright stays brighter.
        assert np.corrcoef(new[0][:, seen].mean(0),
                           old[0][:, seen].mean(0))[0, 1] > 0.6
    with pytest.raises(ValueError, match='speckle'):
        RadiometricJitter(options=dict(hr_rgb=dict(speckle=1)))


@pytest.mark.parametrize('name', SENSORS)
def test_jitter_strength_of_every_sensor(name):
    sensor = get_sensor(name)
    image = np.random.default_rng(0).normal(
        np.array(sensor.mean)[:, None, None], 5,
        (sensor.num_bands, 8, 8)).astype(np.float32)[None]
    view = dict(images={name: image.copy()},
                valid={name: np.ones((1, 8, 8), bool)})
    RadiometricJitter(prob=1.0).transform(dict(global_views=[view]))
    change = np.abs(view['images'][name] - image).mean((0, 2, 3))
    assert (change > 0).all() and (change < np.array(sensor.std)).all()
    assert view['images'][name].dtype == np.float32


def test_packs_views(tile):
    results = LoadMultiSensorTile(SENSORS).transform(tile)
    sizes = dict(hr_rgb=(32, 16), s2_l2a=(8, 4), s1_grd=(8, 4))
    packed = PackPretrainInputs().transform(
        MultiCropViews(sizes).transform(results))
    assert [len(packed['inputs'][k]) for k in ('global', 'local')] == [2, 4]
    view = packed['inputs']['local'][0]
    assert view['images']['s2_l2a'].shape == (3, 10, 4, 4)
    assert view['flip'].dtype == torch.bool
    assert packed['data_samples'].tile_id == '0001'


def test_packs_segmentation(tile):
    results = LoadMultiSensorTile(SENSORS).transform(tile)
    results['gt_seg_map'] = np.zeros((80, 80), np.uint8)
    packed = PackMultiSensorSegInputs().transform(results)
    sample = packed['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, 80, 80)
    assert sample.gt_sem_seg.data.dtype == torch.int64
    assert sample.metainfo['ori_shape'] == (80, 80)
    assert packed['inputs']['valid']['s2_l2a'].dtype == torch.bool
