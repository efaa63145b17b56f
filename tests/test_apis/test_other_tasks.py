# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Objects, scenes and features of whole rasters, with stock heads."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config
from rasterio.transform import Affine

from mmskysense.apis import (
    EmbeddingInferencer,
    ObjectInferencer,
    SceneInferencer,
)
from mmskysense.apis.embedding_inferencer import _Projection
from mmskysense.apis.host_model import task_of
from mmskysense.raster import GridWindow

sys.path.insert(0, str(Path(__file__).parent))
from task_models import OBJECTS, ORIENTED, SCENES, write_model


def test_scenes_are_one_pixel_a_tile(make_scene, tmp_path):
    paths = write_model(tmp_path, SCENES, ['a', 'b', 'c'])
    pixels, valid = make_scene(tmp_path / 'scene.tif', 100, 70)
    inferencer = SceneInferencer(*paths, device='cpu')
    summary = inferencer.predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif', batch_size=3,
        probabilities=tmp_path / 'soft.tif')
    assert (summary.height, summary.width) == (4, 3)
    with rasterio.open(tmp_path / 'map.tif') as result, \
            rasterio.open(tmp_path / 'scene.tif') as scene:
        classes = result.read(1)
        assert result.crs == scene.crs
        assert result.transform == Affine(16, 0, scene.transform.c, 0, -16,
                                          scene.transform.f)
    with rasterio.open(tmp_path / 'soft.tif') as dataset:
        soft = dataset.read()
    # The second tile of the first row by hand.
    tile = torch.from_numpy(pixels[:, :32, 32:64].astype(np.float32))
    mask = torch.from_numpy(valid[:32, 32:64])
    model = inferencer.model.model
    data = model.data_preprocessor.normalize(
        tile, model.data_preprocessor.sensor, mask)
    with torch.no_grad():
        wanted = model.head(model.neck(model.backbone(data[None])))[
            0].softmax(-1)
    if valid[:32, 32:64].mean() >= 0.5:
        assert classes[0, 1] == wanted.argmax()
        np.testing.assert_allclose(soft[:, 0, 1] / 254, wanted, atol=0.003)
    for row in range(4):
        for column in range(3):
            seen = valid[row * 32:row * 32 + 32, column * 32:column * 32 + 32]
            assert (classes[row, column] == 255) == (seen.mean() < 0.5)


def test_objects_of_a_raster_are_those_of_its_windows(make_scene, tmp_path):
    geopandas = pytest.importorskip('geopandas')
    pytest.importorskip('mmcv._ext')
    paths = write_model(tmp_path, OBJECTS, ['boat', 'car'])
    make_scene(tmp_path / 'scene.tif', 100, 130, nodata=False)
    inferencer = ObjectInferencer(*paths, device='cpu')
    summary = inferencer.predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'objects.gpkg', min_score=0.0,
        batch_size=2)
    frame = geopandas.read_file(tmp_path / 'objects.gpkg')
    assert len(frame) == sum(summary.counts.values()) > 0
    assert frame.crs.to_epsg() == 32631
    assert set(frame.class_name) <= {'boat', 'car'}
    with rasterio.open(tmp_path / 'scene.tif') as scene:
        left, bottom, right, top = scene.bounds
    centres = frame.geometry.centroid
    assert centres.x.between(left - 20, right + 20).all()
    assert centres.y.between(bottom - 20, top + 20).all()
    assert (frame.score.diff().dropna() <= 1e-6).all()


def test_oriented_objects_are_turned_polygons(make_scene, tmp_path):
    geopandas = pytest.importorskip('geopandas')
    pytest.importorskip('mmcv._ext')
    pytest.importorskip('mmrotate')
    paths = write_model(tmp_path, ORIENTED, ['boat', 'car'])
    make_scene(tmp_path / 'scene.tif', 100, 130, nodata=False)
    inferencer = ObjectInferencer(*paths, device='cpu')
    summary = inferencer.predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'objects.gpkg', min_score=0.0,
        batch_size=2)
    frame = geopandas.read_file(tmp_path / 'objects.gpkg')
    assert len(frame) == sum(summary.counts.values()) > 0
    assert (frame.angle != 0).any()
    turned = frame[frame.angle.abs() > 0.1].geometry.iloc[0]
    # A turned box is smaller than the upright one around it.
    assert turned.area < turned.envelope.area
    assert turned.minimum_rotated_rectangle.area == pytest.approx(
        turned.area, rel=1e-3)


def test_features_of_a_map_are_those_of_the_encoder(make_scene, tmp_path):
    paths = write_model(tmp_path, SCENES, ['a', 'b', 'c'])
    pixels, _ = make_scene(tmp_path / 'scene.tif', 32, 32, nodata=False)
    inferencer = EmbeddingInferencer(*paths, device='cpu')
    summary = inferencer.embed_raster(
        tmp_path / 'scene.tif', tmp_path / 'all.tif', components=None)
    assert summary.channels == 64 and summary.explained is None
    encoder, preprocessor = inferencer.encoder
    image = torch.from_numpy(pixels.astype(np.float32))
    with torch.no_grad():
        wanted = encoder.dense(preprocessor.normalize(
            image, preprocessor.sensor)[None])[0].numpy()
    with rasterio.open(tmp_path / 'all.tif') as dataset:
        found = dataset.read()
        assert dataset.transform.a == 0.5 * 32 / wanted.shape[-1]
        assert dataset.crs.to_epsg() == 32631
        assert dataset.tags()['SENSOR'] == 'hr_rgb'
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize('size', [(100, 70), (20, 20)])
def test_components_of_a_map_leave_nodata_out(make_scene, tmp_path, size):
    paths = write_model(tmp_path, SCENES, ['a', 'b', 'c'])
    _, valid = make_scene(tmp_path / 'scene.tif', *size)
    summary = EmbeddingInferencer(*paths, device='cpu').embed_raster(
        tmp_path / 'scene.tif', tmp_path / 'three.tif', components=3,
        dtype='float16')
    # 20 x 20 pixels are one place, which differs from nothing.
    assert (summary.explained > 0) == (size != (20, 20))
    assert summary.explained <= 1
    with rasterio.open(tmp_path / 'three.tif') as dataset:
        found = dataset.read()
        assert dataset.count == 3 and np.isnan(dataset.nodata)
    stride = -(-size[0] // found.shape[1])
    for row in range(found.shape[1]):
        for column in range(found.shape[2]):
            seen = valid[row * stride:(row + 1) * stride,
                         column * stride:(column + 1) * stride].any()
            assert np.isfinite(found[:, row, column]).all() == seen
    kept = found[np.isfinite(found)]
    np.testing.assert_array_equal(kept, kept.astype(np.float16))


def test_places_without_a_pixel_have_no_say_in_the_components(tmp_path):
    paths = write_model(tmp_path, SCENES, ['a', 'b', 'c'])
    pixels = np.random.default_rng(0).integers(
        1, 256, (3, 64, 128), dtype=np.uint8)
    with rasterio.open(
            tmp_path / 'half.tif', 'w', driver='GTiff', height=64, width=128,
            count=3, dtype='uint8', nodata=0,
            transform=Affine(1, 0, 9, 0, -1, 9)) as dataset:
        dataset.write(np.where(np.arange(128) < 64, pixels, 0))
    inferencer = EmbeddingInferencer(*paths, device='cpu')
    source = inferencer._source(inferencer.reader(tmp_path / 'half.tif'),
                                [GridWindow(0, 0, 64, 128)])
    projection = _Projection.fit(inferencer, source, 2, 1)
    maps = inferencer.maps([source[0].image], [source[0].valid])[0]
    half = maps[:, :, :maps.shape[2] // 2].flatten(1)
    torch.testing.assert_close(projection.mean, half.mean(1))


def test_tiles_are_rows_of_a_table(make_scene, tmp_path):
    geopandas = pytest.importorskip('geopandas')
    pytest.importorskip('pyarrow')
    paths = write_model(tmp_path, SCENES, ['a', 'b', 'c'])
    make_scene(tmp_path / 'scene.tif', 40, 70, nodata=False)
    summary = EmbeddingInferencer(*paths, device='cpu').embed_raster(
        tmp_path / 'scene.tif', tmp_path / 'tiles.parquet')
    table = geopandas.read_parquet(tmp_path / 'tiles.parquet')
    assert len(table) == 6 == summary.places[0]
    assert table.crs.to_epsg() == 32631
    assert len(table.embedding[0]) == summary.channels == 64
    assert table.sensor.unique().tolist() == ['hr_rgb']
    assert (table.measured == 1).all()
    # The last tile is the corner that is left: 8 x 6 pixels of 0.5 m.
    assert table.geometry.iloc[-1].area == pytest.approx(8 * 6 * 0.25)
    assert sorted(os.listdir(tmp_path)) == [
        'model.pth', 'model.py', 'scene.tif', 'tiles.parquet']


@pytest.mark.parametrize('out,options,words', [
    ('a.png', {}, 'ends with .tif or .parquet'),
    ('a.tif', dict(dtype='int8'), "dtype='int8'"),
    ('a.tif', dict(overlap=1.0), 'overlap=1.0'),
    ('a.tif', dict(components=65), 'has 64 features'),
    ('a.tif', dict(window=33), 'multiple of the stride')])
def test_features_that_cannot_be_are_refused(make_scene, tmp_path, out,
                                             options, words):
    paths = write_model(tmp_path, SCENES, ['a', 'b', 'c'])
    make_scene(tmp_path / 'scene.tif', 40, 70)
    with pytest.raises(ValueError, match=words):
        EmbeddingInferencer(*paths, device='cpu').embed_raster(
            tmp_path / 'scene.tif', tmp_path / out, **options)
    assert not (tmp_path / out).exists()


def test_a_raster_of_nodata_has_no_features(tmp_path):
    paths = write_model(tmp_path, SCENES, ['a', 'b', 'c'])
    with rasterio.open(
            tmp_path / 'scene.tif', 'w', driver='GTiff', height=40, width=40,
            count=3, dtype='uint8', nodata=0) as dataset:
        dataset.write(np.zeros((3, 40, 40), np.uint8))
    with pytest.raises(ValueError, match='found only nodata'):
        EmbeddingInferencer(*paths, device='cpu').embed_raster(
            tmp_path / 'scene.tif', tmp_path / 'a.tif')


@pytest.mark.parametrize('text,task', [
    (SCENES, 'classification'), (OBJECTS, 'detection')])
def test_the_task_is_known_by_the_config(tmp_path, text, task):
    (tmp_path / 'a.py').write_text(text)
    assert task_of(Config.fromfile(tmp_path / 'a.py')) == task
