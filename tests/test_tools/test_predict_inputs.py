# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What people have, from the command line to the map."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

sys.path.insert(
    0, str(Path(__file__).parents[1] / 'test_raster' / 'test_inputs'))
import input_miniatures
from input_miniatures import (
    BANDS,
    TIFF,
    band_value,
    make_product,
    stac_item,
    write_band,
)

ROOT = Path(__file__).resolve().parents[2]
# A stock network on the ten bands of Sentinel-2.
CONFIG = '''
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='s2_l2a'),
    backbone=dict(
        type='ResNetV1c', in_channels=10, depth=18, base_channels=4,
        norm_cfg=dict(type='BN')),
    decode_head=dict(
        type='FCNHead', in_channels=32, channels=8, num_convs=1,
        num_classes=3, concat_input=False, norm_cfg=dict(type='BN')))
crop_size = (32, 32)
test_pipeline = [dict(type='mmskysense.LoadGeoTIFF', sensor='s2_l2a')]
'''


@pytest.fixture(autouse=True)
def gdal_environment():
    """Opening an address sets GDAL's waiting times for the process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope='module')
def call():
    """The tool as a function of its arguments."""
    spec = importlib.util.spec_from_file_location('predict_tool',
                                                  ROOT / 'tools/predict.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *arguments: module.main([str(a) for a in arguments])


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    registry = pytest.importorskip('mmseg.registry')
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.utils import register_all_modules

    import mmskysense.utils
    mmskysense.utils.register_all_modules(init_default_scope=False)
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    folder = tmp_path_factory.mktemp('model')
    config, checkpoint = folder / 'config.py', folder / 'checkpoint.pth'
    config.write_text(CONFIG)
    torch.manual_seed(0)
    network = registry.MODELS.build(Config.fromfile(config).model)
    meta = dict(classes=['water', 'forest', 'road'],
                palette=[[0, 0, 200], [0, 120, 0], [90, 90, 90]])
    torch.save(dict(state_dict=network.state_dict(),
                    meta=dict(dataset_meta=meta)), checkpoint)
    return config, checkpoint


@pytest.fixture(scope='module')
def product(tmp_path_factory):
    return make_product(tmp_path_factory.mktemp('products'), '20220301',
                        '04.00', -1000)


@pytest.fixture
def folder(tmp_path):
    """The product's ground as single bands without the offset."""
    for band in BANDS:
        fine = band in ('B02', 'B03', 'B04', 'B08')
        write_band(tmp_path / 'bands' / f'S2_20220301_{band}.tif',
                   band_value(band), 60 if fine else 30, 10 if fine else 20)
    return tmp_path / 'bands'


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def write_area(path, left, top, side=200):
    ring = [[left, top], [left + side, top], [left + side, top - side],
            [left, top - side], [left, top]]
    path.write_text(json.dumps(dict(
        type='Polygon', coordinates=[ring], crs=dict(
            type='name',
            properties=dict(name='urn:ogc:def:crs:EPSG::32632')))))
    return path


def test_every_kind_gives_the_same_map(call, model, product, folder, tmp_path,
                                       capsys):
    pytest.importorskip('pystac', reason='pystac is not installed')
    archive = shutil.make_archive(str(tmp_path / 'download'), 'zip',
                                  product.parent, product.name)
    item = stac_item({
        band: dict(href=str(path), type=TIFF, **{'raster:bands': [
            {'scale': 0.0001, 'offset': -0.1}]})
        for band in BANDS
        for path in sorted(product.rglob(f'*_{band}_*m.jp2'))[:1]  # finest
    }, day='2022-03-01')
    (tmp_path / 'item.json').write_text(json.dumps(item))
    maps = []
    for number, source in enumerate((
            product, archive, folder, f's2_l2a={tmp_path / "item.json"}')):
        out = tmp_path / f'map{number}.tif'
        call(*model, source, '--out', out, '--device', 'cpu', '--quick-look',
             'none')
        with rasterio.open(out) as result:
            assert result.shape == (60, 60) and result.res == (10, 10)
            assert result.crs == 'EPSG:32632'
            assert result.bounds.left == 600000
        maps.append(read(out))
        assert maps[-1].max() < 3
    for other in maps[1:]:
        np.testing.assert_array_equal(maps[0], other)


def test_area_clouds_and_page(call, model, product, tmp_path, capsys):
    for package in ('pyogrio', 'shapely', 'js_lib_leaflet'):
        pytest.importorskip(package, reason=f'{package} is not installed')
    area = write_area(tmp_path / 'a.geojson', 600000, 5000000)
    call(*model, product, '--out', tmp_path / 'map.tif', '--device', 'cpu',
         '--area', area, '--mask-clouds', '--page', tmp_path / 'page',
         '--uncertainty', tmp_path / 'doubt.tif',
         '--dates', '2022-01-01/2022-12-31')
    classes = read(tmp_path / 'map.tif')
    assert classes.shape == (20, 20)
    # The cloud is 100 m a side, in the corner.
    assert (classes[:10, :10] == 255).all() and (classes == 255).sum() == 100
    assert (tmp_path / 'map.png').stat().st_size > 5000
    page = (tmp_path / 'page/layers.js').read_text()
    assert 's2_l2a 2022-03-01' in page and '"water"' in page
    assert '"name": "uncertainty"' in page and '"entropy"' in page
    assert 'nodata 25.0 %' in capsys.readouterr().out


def test_requested_grid(call, model, product, tmp_path):
    call(*model, product, '--out', tmp_path / 'map.tif', '--device', 'cpu',
         '--resolution', '20', '--crs', 'EPSG:32632', '--quick-look', 'none')
    with rasterio.open(tmp_path / 'map.tif') as result:
        assert result.shape == (30, 30) and result.res == (20, 20)
    call(*model, product, '--out', tmp_path / 'again.tif', '--device', 'cpu',
         '--like', tmp_path / 'map.tif', '--quick-look', 'none')
    np.testing.assert_array_equal(read(tmp_path / 'map.tif'),
                                  read(tmp_path / 'again.tif'))


@pytest.mark.parametrize('arguments, message', [
    (['--dates', '2021-01-01/2021-12-31'], 'expected an acquisition in '
     '--dates 2021-01-01/2021-12-31, found 2022-03-01; widen the range'),
    (['--dates', 'spring'], "--dates spring: 'spring' is no day"),
    (['--area', 'far.geojson'], 'far.geojson: expected an area inside'),
    (['--area', 'nowhere.geojson'], 'nowhere.geojson: expected a file'),
    (['--crs', 'EPSG:4326', '--resolution', '10'],
     '--resolution 10: expected a number in units of EPSG:4326'),
    (['--like', 'nowhere.tif'], 'nowhere.tif: expected a raster file'),
    (['--sensor', 's3_olci'], "unknown sensor 's3_olci'"),
    (['--page', '.'], 'expected a new folder or an earlier page'),
])
def test_bad_requests_are_one_line(call, model, product, tmp_path,
                                   monkeypatch, arguments, message):
    for package in ('pyogrio', 'shapely'):
        pytest.importorskip(package, reason=f'{package} is not installed')
    monkeypatch.chdir(tmp_path)
    write_area(tmp_path / 'far.geojson', 700000, 5000000)
    with pytest.raises(SystemExit) as stopped:
        call(*model, product, '--out', 'map.tif', '--device', 'cpu',
             *arguments)
    text = str(stopped.value)
    assert text.startswith('predict.py: error: ') and '\n' not in text
    assert message in text
    assert os.listdir(tmp_path) == ['far.geojson']


def test_tiles_of_one_day_are_one_map(call, model, folder, tmp_path):
    """The same ground cut in two, as two files of all bands."""
    call(*model, folder, '--out', tmp_path / 'whole.tif', '--device', 'cpu',
         '--quick-look', 'none')
    (tmp_path / 'tiles').mkdir()
    for name, left, right in (('west', 0, 40), ('east', 30, 60)):
        values = np.stack([np.full((60, right - left), band_value(band),
                                   np.uint16) for band in BANDS])
        with rasterio.open(
                tmp_path / 'tiles' / f'T_{name}_20220301.tif', 'w',
                driver='GTiff', count=10, height=60, width=right - left,
                dtype='uint16', crs='EPSG:32632', nodata=0,
                transform=from_origin(600000 + 10 * left, 5000000, 10, 10)
        ) as file:
            file.write(values)
            file.descriptions = BANDS
    call(*model, tmp_path / 'tiles', '--out', tmp_path / 'joined.tif',
         '--device', 'cpu', '--page', tmp_path / 'page')
    with rasterio.open(tmp_path / 'joined.tif') as result:
        # The easternmost file comes first by name: its grid is extended.
        assert result.shape == (60, 60) and result.bounds.left == 600000
    np.testing.assert_array_equal(read(tmp_path / 'whole.tif'),
                                  read(tmp_path / 'joined.tif'))
    assert (tmp_path / 'joined.png').exists()
    page = (tmp_path / 'page/layers.js').read_text()
    assert page.count('"name": "s2_l2a 2022-03-01"') == 2


def test_several_acquisitions_are_named(call, model, folder, tmp_path):
    for path in list(folder.iterdir()):
        shutil.copy(path, folder / path.name.replace('0301', '0401'))
    with pytest.raises(SystemExit, match='the config maps one day, '
                       r'found 2 \(2022-03-01, 2022-04-01\); narrow them with '
                       '--dates'):
        call(*model, folder, '--out', tmp_path / 'map.tif', '--device', 'cpu')
    assert not (tmp_path / 'map.tif').exists()


def test_a_band_that_breaks_off_leaves_no_map(call, model, folder, tmp_path):
    path = folder / 'S2_20220301_B12.tif'
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(SystemExit, match='B12.tif: expected 30x30 pixels'):
        call(*model, folder, '--out', tmp_path / 'map.tif', '--device', 'cpu')
    assert sorted(os.listdir(tmp_path)) == ['bands']


def test_resuming_with_other_clouds_is_refused(call, model, product,
                                               tmp_path, monkeypatch):
    """What a killed run has done holds for its own inputs only."""
    from mmskysense.apis import map_inferencer

    def interrupted(*_):
        raise KeyboardInterrupt

    out = tmp_path / 'map.tif'
    arguments = [*model, product, '--out', out, '--device', 'cpu', '--resume',
                 '--quick-look', 'none']
    with monkeypatch.context() as patch:
        patch.setattr(map_inferencer, 'run_regions', interrupted)
        with pytest.raises(KeyboardInterrupt):
            call(*arguments)
    with pytest.raises(SystemExit, match='other'):
        call(*arguments, '--mask-clouds')
    with pytest.raises(SystemExit, match='other'):
        call(*arguments, '--offset', '-900')
    call(*arguments)
    assert read(out).shape == (60, 60)


def test_a_server_that_falls_silent_leaves_no_map(call, model, tmp_path,
                                                  monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setenv('GDAL_HTTP_PROXY', '')
    (tmp_path / 'www').mkdir()
    noise = np.random.default_rng(0).integers(
        1, 4000, (10, 128, 64), dtype=np.uint16)
    with rasterio.open(
            tmp_path / 'www/scene.tif', 'w', driver='GTiff', count=10,
            height=128, width=64, dtype='uint16', crs='EPSG:32632',
            tiled=True, blockxsize=64, blockysize=64, nodata=0,
            transform=from_origin(600000, 5000000, 10, 10)) as file:
        file.write(noise)
        file.descriptions = BANDS
    server = subprocess.Popen(
        [sys.executable, '-S', str(Path(input_miniatures.__file__).with_name(
            'stalling_server.py')), str(tmp_path / 'www'), '60000'],
        stdout=subprocess.PIPE, text=True)
    try:
        address = f'http://127.0.0.1:{server.stdout.readline().strip()}'
        with pytest.raises(SystemExit, match='scene.tif: expected 64x128 '
                           'pixels .*the server stopped answering'):
            call(*model, f'{address}/scene.tif', '--out',
                 tmp_path / 'map.tif', '--device', 'cpu', '--timeout', '1')
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert os.listdir(tmp_path) == ['www']
