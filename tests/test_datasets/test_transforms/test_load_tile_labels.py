# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmskysense.datasets import MultiSensorTileDataset
from mmskysense.datasets.transforms import (
    LoadMultiSensorTile,
    LoadTileLabels,
    MultiCropViews,
    PackPretrainInputs,
)
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.raster.band_contract import RasterContractError

LOAD = LoadMultiSensorTile(('hr_rgb', ))


@pytest.fixture
def loaded(write_raster):
    """A tile of 80 px at 0.5 m, loaded."""
    pixels = np.random.default_rng(0).integers(
        1, 255, (3, 80, 80), dtype=np.uint8)
    path = write_raster('hr.tif', pixels, pixel=0.5)
    return LOAD.transform(dict(
        tile_id='0', paths=dict(hr_rgb=[path]), acquired=dict(hr_rgb=[None])))


def label(write_raster, values=None, pixel=2.0, name='osm.tif', **options):
    if values is None:
        values = np.arange(400).reshape(20, 20) % 7
    return write_raster(name, values.astype(np.uint8)[None], pixel=pixel,
                        **options)


def test_reads_labels_on_a_grid_of_their_own(loaded, write_raster):
    values = np.arange(400).reshape(20, 20) % 7
    values[0, 0], values[0, 1], values[0, 2] = 255, 50, 60
    path = label(write_raster, values, nodata=60)
    loaded['label_path'] = path
    results = LoadTileLabels(7, nodata=50).transform(loaded)
    labels = results['tile_labels']
    assert labels.shape == (20, 20) and labels.dtype == np.uint8
    assert labels[0, :3].tolist() == [255] * 3
    np.testing.assert_array_equal(labels[1:], values[1:])
    mapped = LoadTileLabels(
        7, nodata=50, label_map={5: 0, 6: 255}).transform(loaded)
    assert (mapped['tile_labels'][values == 5] == 0).all()
    assert (mapped['tile_labels'][values == 6] == 255).all()


def test_a_tile_without_labels_is_unlabelled(loaded):
    loaded['label_path'] = None
    results = LoadTileLabels(7).transform(loaded)
    view = MultiCropViews(dict(hr_rgb=(32, 16)),
                          label_sizes=(8, 4)).transform(results)
    assert (view['global_views'][0]['labels'] == 255).all()


@pytest.mark.parametrize('options, words', [
    (dict(values=np.full((20, 20), 7)), r'class ids 0\.\.6 or 255.*found 7 '
     'in 400 pixels'),
    (dict(crs='EPSG:32632'), 'CRS'),
    (dict(origin=(500004.0, 5400000.0)), 'bounds'),
    (dict(pixel=1.0), 'bounds'),
    (dict(crs=None, values=np.zeros((20, 19))), 'same shape on the ground'),
])
def test_refuses(loaded, write_raster, options, words):
    loaded['label_path'] = path = label(write_raster, **options)
    with pytest.raises(RasterContractError, match=words) as error:
        LoadTileLabels(7).transform(loaded)
    assert str(error.value).startswith(path)
    assert '\n' not in str(error.value)


def test_labels_without_georeference(loaded, write_raster):
    loaded['label_path'] = label(write_raster, crs=None, pixel=1.0)
    assert LoadTileLabels(7).transform(loaded)['tile_labels'].max() == 6


def test_refuses_coloured_labels_and_bad_options(loaded, write_raster):
    loaded['label_path'] = write_raster(
        'rgb.tif', np.zeros((3, 20, 20), np.uint8), pixel=2.0)
    with pytest.raises(RasterContractError, match='one band of class ids'):
        LoadTileLabels(7).transform(loaded)
    for count in (0, 256):
        with pytest.raises(ValueError, match=f'1..255, found {count}'):
            LoadTileLabels(count)


@pytest.mark.parametrize('crs, origin, expected', [
    # Centre meridian of zone 31, 20 m east and south of the corner.
    ('EPSG:32631', (499980.0, 5400000.0), (3.0, 48.7530)),
    ('EPSG:4326', (-20.0, 40.0), (0.0, 20.0)),
    ('EPSG:4326', (160.0, 40.0), (-180.0, 20.0)),
    (None, (0.0, 40.0), None),
    ('LOCAL_CS["site",UNIT["metre",1]]', (0.0, 40.0), None),
])
def test_location_from_the_raster(write_raster, crs, origin, expected):
    path = write_raster('hr.tif', np.ones((3, 80, 80), np.uint8), pixel=0.5,
                        crs=crs, origin=origin)
    results = LOAD.transform(dict(
        paths=dict(hr_rgb=[path]), acquired=dict(hr_rgb=[None])))
    assert results['location'].dtype == np.float32
    if expected is None:
        assert np.isnan(results['location']).all()
    else:
        np.testing.assert_allclose(results['location'], expected, atol=1e-3)


def archive(tmp_path, write_raster, tiles):
    """An index of tiles that share an image without georeference."""
    write_raster('hr.tif', np.ones((3, 40, 40), np.uint8), crs=None)
    entries = [{'id': str(n), 'split': 'train', 'hr_rgb': 'hr.tif', **tile}
               for n, tile in enumerate(tiles)]
    (tmp_path / 'index.json').write_text(
        json.dumps({'version': 1, 'tiles': entries}))
    return str(tmp_path)


def test_from_the_index_to_the_model(tmp_path, write_raster):
    label(write_raster, crs=None)
    root = archive(tmp_path, write_raster, [
        dict(osm='osm.tif', location=[5, 47.5]), {}])
    dataset = MultiSensorTileDataset(
        data_root=root, sensors=('hr_rgb', ), label_key='osm', pipeline=[
            LOAD, LoadTileLabels(7),
            MultiCropViews(dict(hr_rgb=(16, 8)), label_sizes=(6, 4)),
            PackPretrainInputs()])
    batch = pseudo_collate([dataset[0], dataset[1]])
    inputs = MultiSensorDataPreprocessor(sensors=['hr_rgb'])(batch)['inputs']
    for kind, views, size in (('global', 2, 6), ('local', 4, 4)):
        labels = inputs[kind].labels
        assert labels.shape == (views, 2, size, size)
        assert labels.dtype == torch.int64
        assert (labels[:, 0] < 7).all() and (labels[:, 1] == 255).all()
        assert inputs[kind].locations[0].tolist() == [5, 47.5]
        assert inputs[kind].locations[1].isnan().all()


@pytest.mark.parametrize('tiles, options, words', [
    ([{}], dict(label_key='osm'), "labels 'osm', found none among 1 tiles"),
    ([dict(osm=['a.tif', 'b.tif'])], dict(label_key='osm'), '2 files'),
    ([dict(location=[200, 0])], {}, r'found \[200, 0\]'),
    ([dict(location=[5])], {}, r'"location": \[longitude, latitude\]'),
    ([dict(location=['5', '6'])], {}, "'5'"),
])
def test_refuses_index(tmp_path, write_raster, tiles, options, words):
    root = archive(tmp_path, write_raster, tiles)
    with pytest.raises(ValueError, match=words) as error:
        MultiSensorTileDataset(data_root=root, sensors=('hr_rgb', ),
                               **options)
    assert '\n' not in str(error.value)


def test_looks_for_label_files_before_training(tmp_path, write_raster):
    root = archive(tmp_path, write_raster, [dict(osm='no.tif')])
    with pytest.raises(FileNotFoundError, match='no.tif'):
        MultiSensorTileDataset(data_root=root, sensors=('hr_rgb', ),
                               label_key='osm')


def test_sample_world_has_labels_where_it_shows_them(sample_world):
    """Mapped water is bluer than mapped forest, in every kind of view."""
    from mmskysense.datasets.sample_world.catalogue import OSM
    dataset = MultiSensorTileDataset(
        data_root=str(sample_world), sensors=('hr_rgb', ), label_key='osm',
        pipeline=[LOAD, LoadTileLabels(len(OSM.names)),
                  MultiCropViews(dict(hr_rgb=(64, 32)),
                                 label_sizes=(64, 32))])
    colours = {}
    for sample in dataset:
        assert np.isfinite(sample['location']).all()
        for view in sample['global_views'] + sample['local_views']:
            pixels = view['images']['hr_rgb'][0]
            for name in ('forest', 'farmland', 'meadow', 'building', 'road'):
                mask = view['labels'] == OSM.index(name)
                colours.setdefault(name, []).append(pixels[:, mask].T)
    means = {name: np.concatenate(found).mean(0)
             for name, found in colours.items() if sum(map(len, found)) > 50}
    assert len(means) >= 3
    # Woods are dark, whatever the season.
    assert all(means['forest'].mean() < mean.mean() - 10
               for name, mean in means.items() if name != 'forest'), means
