# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Maps from several sensors and dates, each at its own resolution."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine

from mmskysense.apis import MapInferencer, SeriesInferencer
from mmskysense.raster import GridWindow, RasterContractError
from mmskysense.raster.inputs import SeriesReader

CONFIG = '''
default_scope = 'mmseg'
custom_imports = dict(
    imports=['mmskysense', 'mmskysense.models.segmentors'],
    allow_failed_imports=False)
sensors = ('hr_rgb', 's2_l2a', 's1_grd')
model = dict(
    type='mmskysense.DatedEncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensors=sensors),
    backbone=dict(
        type='mmskysense.SkySenseV2', sensors=sensors,
        arch=dict(embed_dims=8, depths=(1, 1, 1, 1), head_dims=4),
        out_indices=(3, ), merge=dict(hr_rgb=(2, 3, 4), s2_l2a=(), s1_grd=())),
    neck=dict(
        type='mmskysense.TemporalFusionNeck', in_channels=(64, ),
        sensors=sensors,
        fusion=dict(embed_dims=16, depth=1, num_heads=2)),
    decode_head=dict(
        type='FCNHead', in_channels=16, channels=16, num_convs=0,
        num_classes=3, concat_input=False, norm_cfg=None))
crop_size = (64, 64)
test_pipeline = [
    dict(type='mmskysense.LoadMultiSensorTile', sensors=sensors)]
'''
DAYS = ('20210105', '20210610')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Paths of a config and a checkpoint."""
    registry = pytest.importorskip('mmseg.registry')
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    folder = tmp_path_factory.mktemp('series')
    (folder / 'config.py').write_text(CONFIG)
    config = Config.fromfile(folder / 'config.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    network = registry.MODELS.build(config.model)
    network.init_weights()
    torch.nn.init.normal_(network.decode_head.conv_seg.weight, std=1.0)
    torch.save(dict(state_dict=network.state_dict(), meta=dict(
        dataset_meta=dict(classes=['a', 'b', 'c']))), folder / 'weights.pth')
    return folder / 'config.py', folder / 'weights.pth'


def write(path, pixels, resolution, crs='EPSG:32631', **options):
    with rasterio.open(
            path, 'w', driver='GTiff', height=pixels.shape[1],
            width=pixels.shape[2], count=len(pixels), dtype=pixels.dtype,
            crs=crs, transform=Affine(resolution, 0, 5e5, 0, -resolution,
                                      46e5), **options) as dataset:
        dataset.write(pixels)


@pytest.fixture
def scene(tmp_path):
    """150 m x 110 m: RGB of 1 m, two days of S2 of 10 m, S1 of 10 m."""
    random = np.random.default_rng(0)
    write(tmp_path / 'rgb.tif', random.integers(
        1, 255, (3, 150, 110), np.uint8), 1.0)
    for day in DAYS:
        write(tmp_path / f's2_{day}.tif', random.integers(
            500, 5000, (10, 15, 11)).astype(np.uint16), 10.0, nodata=0)
    write(tmp_path / 's1.tif', random.normal(
        -12, 3, (2, 15, 11)).astype(np.float32), 10.0)
    return tmp_path


def inputs_of(inferencer, folder, sensors=('hr_rgb', 's2_l2a', 's1_grd')):
    """MapInputs with both days of Sentinel-2."""
    import datetime
    from dataclasses import replace
    files = dict(hr_rgb='rgb.tif', s2_l2a=f's2_{DAYS[0]}.tif',
                 s1_grd='s1.tif')
    inputs = inferencer.inputs({s: folder / files[s] for s in sensors})
    if 's2_l2a' in sensors:
        later = inferencer.inputs(
            dict(s2_l2a=folder / f's2_{DAYS[1]}.tif')).images['s2_l2a']
        days = [*inputs.images['s2_l2a'], *later]
        days = [replace(image, date=datetime.date.fromisoformat(
            f'{day[:4]}-{day[4:6]}-{day[6:]}'))
            for image, day in zip(days, DAYS, strict=True)]
        inputs = replace(inputs, images=dict(inputs.images, s2_l2a=days))
    return inputs


def test_windows_show_the_same_ground_in_every_sensor(model, scene):
    inferencer = SeriesInferencer(*model, device='cpu')
    reader = SeriesReader(inputs_of(inferencer, scene))
    assert reader.factors == dict(hr_rgb=1, s2_l2a=10, s1_grd=10)
    assert reader.multiple == 10 and reader.shape == (150, 110)
    picture, seen = reader.read(GridWindow(100, 60, 80, 80))
    assert picture.images['hr_rgb'].shape == (1, 3, 80, 80)
    assert picture.images['s2_l2a'].shape == (2, 10, 8, 8)
    assert picture.dates['s2_l2a'].tolist() == [5, 161]
    assert picture.dates['s1_grd'].tolist() == [0]
    for name, sensor in (('rgb', 'hr_rgb'), (f's2_{DAYS[1]}', 's2_l2a')):
        with rasterio.open(scene / f'{name}.tif') as dataset:
            pixels = dataset.read()
        factor = reader.factors[sensor]
        part = pixels[:, 100 // factor:, 60 // factor:]
        found = picture.images[sensor][-1]
        np.testing.assert_array_equal(
            found[:, :part.shape[1], :part.shape[2]], part)
    assert seen[:50, :50].all() and not seen[50:].any()
    assert not seen[:, 50:].any()


def test_one_window_gives_what_the_model_gives(model, scene, tmp_path):
    inferencer = SeriesInferencer(*model, device='cpu')
    inputs = inputs_of(inferencer, scene)
    inferencer.predict_raster(inputs, tmp_path / 'map.tif', window=160,
                              probabilities=tmp_path / 'soft.tif')
    reader = SeriesReader(inputs)
    picture, seen = reader.read(GridWindow(0, 0, 160, 160))
    scores = inferencer.segmentor([picture], [seen])[0]
    with rasterio.open(tmp_path / 'map.tif') as dataset:
        assert dataset.shape == (150, 110)
        assert dataset.transform.a == 1.0
        np.testing.assert_array_equal(dataset.read(1),
                                      scores.argmax(0)[:150, :110])
    with rasterio.open(tmp_path / 'soft.tif') as dataset:
        soft = inferencer.segmentor.probabilities(scores)[:, :150, :110]
        assert abs(dataset.read() / 254 - soft).max() < 0.51 / 254


@pytest.mark.parametrize('sensors', [
    ('hr_rgb', ), ('s2_l2a', ), ('s2_l2a', 's1_grd'), ('hr_rgb', 's1_grd')])
def test_any_of_the_sensors_will_do(model, scene, tmp_path, sensors):
    inferencer = SeriesInferencer(*model, device='cpu')
    summary = inferencer.predict_raster(
        inputs_of(inferencer, scene, sensors), tmp_path / 'map.tif',
        window=40, batch_size=2)
    coarse = sensors[0] != 'hr_rgb'
    assert (summary.height, summary.width) == ((15, 11) if coarse
                                               else (150, 110))
    assert summary.nodata_pixels == 0


def test_dates_matter(model, scene, tmp_path):
    from dataclasses import replace
    inferencer = SeriesInferencer(*model, device='cpu')
    inputs = inputs_of(inferencer, scene, ('s2_l2a', ))
    soft = []
    undated = replace(inputs, images=dict(s2_l2a=[
        replace(image, date=None) for image in inputs.images['s2_l2a']]))
    for one in (inputs, undated):
        inferencer.predict_raster(one, tmp_path / 'map.tif', window=20,
                                  probabilities=tmp_path / 'soft.tif')
        with rasterio.open(tmp_path / 'soft.tif') as dataset:
            soft.append(dataset.read())
    assert (soft[0] != soft[1]).any()


def test_a_resumed_run_and_flips_work_for_several_sensors(model, scene,
                                                          tmp_path):
    inferencer = SeriesInferencer(*model, device='cpu')
    inputs = inputs_of(inferencer, scene)
    for out in ('a.tif', 'b.tif'):
        inferencer.predict_raster(
            inputs, tmp_path / out, window=80, flips=True, resume=True,
            uncertainty=tmp_path / f'u_{out}', measure='variance')
    assert (tmp_path / 'a.tif').read_bytes() == \
        (tmp_path / 'b.tif').read_bytes()


def test_refusals(model, scene, tmp_path):
    inferencer = SeriesInferencer(*model, device='cpu')
    inputs = inputs_of(inferencer, scene)
    with pytest.raises(ValueError, match='multiples of 10 pixels'):
        inferencer.predict_raster(inputs, tmp_path / 'map.tif', window=64)
    with pytest.raises(ValueError, match="'auto' is for one sensor"):
        inferencer.predict_raster(inputs, tmp_path / 'map.tif', window=80,
                                  batch_size='auto')
    with pytest.raises(RasterContractError, match='landsat8'):
        inferencer.inputs(dict(landsat8=scene / 's1.tif'))
    with pytest.raises(ValueError, match='several sensors at once'):
        MapInferencer(*model, device='cpu')
    with pytest.raises(ValueError, match='give each as SENSOR=RASTER'):
        SeriesInferencer(*model, device='cpu', sensor='hr_rgb')
    assert not (tmp_path / 'map.tif').exists()


def test_the_command_takes_a_raster_a_sensor(model, scene, capsys):
    spec = importlib.util.spec_from_file_location(
        'predict_series', Path(__file__).parents[2] / 'tools/predict.py')
    predict = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(predict)
    common = [*map(str, model), '--out', str(scene / 'map.tif'), '--window',
              '80', '--device', 'cpu']
    predict.main([*common[:2], f'hr_rgb={scene}/rgb.tif',
                  f's1_grd={scene}/s1.tif', *common[2:]])
    assert '110 x 150 pixels' in capsys.readouterr().out
    assert (scene / 'map.png').exists()
    os.remove(scene / 'map.tif')
    for rasters, words in (
            ([f'{scene}/rgb.tif'], 'give each as SENSOR=RASTER'),
            ([f'hr_rgb={scene}/rgb.tif', f'{scene}/s1.tif'],
             'expected SENSOR=RASTER, since 2')):
        with pytest.raises(SystemExit) as caught:
            predict.main([*common[:2], *rasters, *common[2:]])
        assert words in str(caught.value)
    assert not (scene / 'map.tif').exists()
