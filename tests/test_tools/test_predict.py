# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import Affine

from mmskysense.apis.input_arguments import parse_bands

ROOT = Path(__file__).resolve().parents[2]
CONFIG = '''
default_scope = 'mmseg'
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True,
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type='ResNetV1c', depth=18, base_channels=4, norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead', in_channels=32, channels=8, num_convs=1,
        num_classes=3, concat_input=False, norm_cfg=norm_cfg))
crop_size = (64, 64)
'''


@pytest.fixture(scope='module')
def predict():
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location('predict_tool',
                                                  ROOT / 'tools/predict.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Paths of the config and the checkpoint of a stock model of mmseg."""
    registry = pytest.importorskip('mmseg.registry')
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    folder = tmp_path_factory.mktemp('model')
    config, checkpoint = folder / 'config.py', folder / 'checkpoint.pth'
    config.write_text(CONFIG)
    torch.manual_seed(0)
    network = registry.MODELS.build(Config.fromfile(config).model)
    meta = dict(
        classes=['water', 'forest', 'road'],
        palette=[[0, 0, 200], [0, 120, 0], [90, 90, 90]])
    torch.save(
        dict(state_dict=network.state_dict(), meta=dict(dataset_meta=meta)),
        checkpoint)
    return config, checkpoint


@pytest.fixture
def scene(tmp_path):
    """An RGB scene with a border of nodata."""
    pixels = np.random.default_rng(0).integers(
        1, 256, (3, 150, 120), dtype=np.uint8)
    pixels[:, :20] = 0
    path = tmp_path / 'scene.tif'
    with rasterio.open(
            path, 'w', driver='GTiff', height=150, width=120, count=3,
            dtype='uint8', nodata=0, crs='EPSG:32631',
            transform=Affine(0.5, 0, 5e5, 0, -0.5, 46e5)) as dataset:
        dataset.write(pixels)
    return path


def test_the_command_makes_a_map_and_a_picture(model, scene, tmp_path):
    ran = subprocess.run(
        [sys.executable, ROOT / 'tools/predict.py', *model, scene, '--out',
         'map.tif', '--device', 'cpu', '--overlap', '0.25'],
        cwd=tmp_path, text=True, capture_output=True, timeout=120,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))
    assert ran.returncode == 0, ran.stderr
    last = ran.stdout.splitlines()[-1]
    assert last.startswith('map.tif: 120 x 150 pixels in ')
    assert 'nodata 13.3 %' in last
    assert '100%' in ran.stderr  # the progress bar
    assert sorted(os.listdir(tmp_path)) == ['map.png', 'map.tif', 'scene.tif']
    with rasterio.open(tmp_path / 'map.tif') as result, \
            rasterio.open(scene) as source:
        assert result.crs == source.crs
        assert result.transform == source.transform
        assert result.shape == source.shape
        classes = result.read(1)
        shares = [(classes == i).sum() / (classes != 255).sum()
                  for i in range(3)]
        assert result.tags()['CLASS_2'] == 'road'
    assert (classes[:20] == 255).all()
    assert set(np.unique(classes[20:])) <= {0, 1, 2}
    for name, share in zip(('water', 'forest', 'road'), shares, strict=True):
        assert not share or f'{name} {100 * share:.1f} %' in last


def test_options_reach_the_map(predict, model, scene, tmp_path, capsys):
    out, soft = tmp_path / 'map.tif', tmp_path / 'soft.tif'
    picture = tmp_path / 'look.png'
    predict.main([
        *map(str, model), f'hr_rgb={scene}', '--out', str(out), '--device',
        'cpu', '--window', '48', '32', '--blend', 'linear', '--batch-size',
        '3', '--bands', '3,2,1', '--probabilities', str(soft),
        '--quick-look', str(picture)])
    with rasterio.open(out) as dataset:
        tags = dataset.tags()
        classes = dataset.read(1)
    assert (tags['WINDOW'], tags['BLEND']) == ('48x32', 'linear')
    with rasterio.open(soft) as dataset:
        assert dataset.descriptions == ('water', 'forest', 'road')
        np.testing.assert_array_equal(
            dataset.read().argmax(axis=0)[20:], classes[20:])
    with Image.open(picture) as image:
        assert min(image.size) > 200
    assert not (tmp_path / 'map.png').exists()


def test_the_picture_can_be_left_out(predict, model, scene, tmp_path):
    predict.main([
        *map(str, model), str(scene), '--out', str(tmp_path / 'map.tif'),
        '--device', 'cpu', '--quick-look', 'none'])
    assert sorted(os.listdir(tmp_path)) == ['map.tif', 'scene.tif']


@pytest.mark.parametrize('change,words', [
    (dict(config='absent.py'), r'config .*absent\.py.*found nothing'),
    (dict(checkpoint='absent.pth'), r'checkpoint .*absent\.pth'),
    (dict(raster=['absent.tif']), r'absent\.tif.*no such file'),
    (dict(raster=['empty.tif']), r'empty\.tif.*0 bytes'),
    (dict(raster=['text.tif']), r'text\.tif.*GDAL'),
    (dict(raster=['scene.tif', 's1_grd=other.tif']), 'takes one sensor'),
    (dict(raster=['s9=scene.tif']), "unknown sensor 's9'"),
    (dict(raster=['s2_l2a=scene.tif']), 'normalises 3 channels'),
    (dict(out='absent/map.tif'), r'mkdir -p'),
    (dict(out='scene.tif'), 'also an input'),
    (dict(out='.'), 'found a directory'),
    (dict(out='map.png'), 'different names'),
    (dict(more=['--overlap', '1']), r'--overlap 1\.0'),
    (dict(more=['--window', '8', '8', '8']), 'height and width'),
    (dict(more=['--window', '0']), 'at least 1 pixel'),
    (dict(more=['--batch-size', '0']), 'batch_size=0'),
    (dict(more=['--scale', 'twice']), '--scale twice'),
    (dict(more=['--bands', '1,2,9']), r'between 1 and 3'),
    (dict(more=['--sensor', 'nothing']), "unknown sensor 'nothing'"),
    (dict(more=['--quick-look', 'absent/a.png']), 'mkdir -p')])
def test_bad_input_is_one_line(predict, model, scene, tmp_path, monkeypatch,
                               change, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('MMSKYSENSE_TRACEBACK', raising=False)
    (tmp_path / 'empty.tif').touch()
    (tmp_path / 'text.tif').write_text('this is no raster')
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(SystemExit) as caught:
        predict.main([
            str(change.get('config', model[0])),
            str(change.get('checkpoint', model[1])),
            *change.get('raster', ['scene.tif']), '--out',
            change.get('out', 'map.tif'), '--device', 'cpu',
            *change.get('more', [])])
    message = str(caught.value)
    assert message.startswith('predict.py: error: ')
    assert '\n' not in message
    assert re.search(words, message), message
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize('text,bands', [
    (None, None), ('4,3,2', [4, 3, 2]), ('B04, B03', ['B04', 'B03'])])
def test_bands_are_numbers_or_names(predict, text, bands):
    assert parse_bands(text) == bands


@pytest.mark.parametrize('arguments,sensor,expected', [
    (['a.tif'], None, ('a.tif', None)),
    (['s1_grd=a.tif'], None, ('a.tif', 's1_grd')),
    (['s1_grd=a.tif'], 's1_grd', ('a.tif', 's1_grd')),
    (['day=1/a.tif'], None, ('1/a.tif', 'day')),
    (['/data/day=1/a.tif'], None, ('/data/day=1/a.tif', None))])
def test_sensor_in_front_of_the_raster(predict, arguments, sensor, expected):
    assert predict.split_raster(arguments, sensor) == expected
