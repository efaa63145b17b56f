# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Inputs behind HTTP: nginx, and a server that stops answering."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from input_miniatures import BANDS, TIFF, band_value, stac_item
from rasterio.transform import from_origin

from mmskysense.raster import RasterContractError, RasterReader
from mmskysense.raster.inputs import gdal_path, limit_waiting, open_input
from mmskysense.raster.inputs.remote import read_bytes

NGINX = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
needs_nginx = pytest.mark.skipif(
    NGINX is None, reason='nginx is not installed (apt install nginx-light)')

CONFIG = '''
{user}
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 64; }}
http {{
    log_format plain '$request_method $uri $status $body_bytes_sent';
    access_log access.log plain;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{ listen 127.0.0.1:{port}; root www; }}
}}
'''


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return listener.getsockname()[1]


class Nginx:
    def __init__(self, folder):
        self.folder = folder
        self.root = folder / 'www'
        self.root.mkdir()
        for _ in range(5):  # another process may take the free port
            self.port = free_port()
            user = 'user root;' if os.geteuid() == 0 else ''
            (folder / 'nginx.conf').write_text(
                CONFIG.format(user=user, port=self.port))
            # Returns once it listens.
            started = self.command()
            if started.returncode == 0:
                return
        raise RuntimeError(started.stderr)

    def command(self, *arguments):
        return subprocess.run(
            [NGINX, '-p', f'{self.folder}/', '-c', 'nginx.conf', '-e',
             'error.log', *arguments], capture_output=True, text=True)

    @property
    def address(self):
        return f'http://127.0.0.1:{self.port}'

    def requests(self):
        """Method, path, status and bytes of each answer so far."""
        lines = (self.folder / 'access.log').read_text().splitlines()
        return [(method, path, int(status), int(count))
                for method, path, status, count in map(str.split, lines)]


@pytest.fixture(scope='module')
def nginx(tmp_path_factory):
    server = Nginx(tmp_path_factory.mktemp('nginx'))
    yield server
    server.command('-s', 'stop')


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """This machine's proxy, if any, has nothing to do with itself."""
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setenv('GDAL_HTTP_PROXY', '')


def write_scene(path, side=1024):
    """Noise, which does not compress, in blocks of 256: 6 MB."""
    values = np.random.default_rng(0).integers(
        1, 256, (3, side, side), dtype=np.uint8)
    with rasterio.open(
            path, 'w', driver='GTiff', count=3, height=side, width=side,
            dtype='uint8', crs='EPSG:32632', tiled=True, blockxsize=256,
            blockysize=256, interleave='pixel',
            transform=from_origin(600000, 5000000, 1, 1)) as file:
        file.write(values)
    return values


@needs_nginx
def test_a_window_is_read_by_ranges(nginx):
    values = write_scene(nginx.root / 'scene_20210401.tif')
    size = (nginx.root / 'scene_20210401.tif').stat().st_size
    (image, ) = open_input(f'{nginx.address}/scene_20210401.tif', 'hr_rgb')
    assert image.bands[0].path.startswith('/vsicurl/http://127.0.0.1')
    assert str(image.date) == '2021-04-01'
    read, valid = RasterReader(image.bands[0].path, 'hr_rgb').read(
        (300, 300, 100, 100))
    np.testing.assert_array_equal(read, values[:, 300:400, 300:400])
    assert valid.all()
    got = [r for r in nginx.requests() if r[:2] == (
        'GET', '/scene_20210401.tif')]
    assert got and all(status == 206 for _, _, status, _ in got)
    assert sum(count for *_, count in got) < size / 4


@needs_nginx
def test_stac_item_with_relative_addresses(nginx, band_files):
    folder = nginx.root / 'items'
    shutil.copytree(band_files('scene'), folder)
    item = stac_item({
        band: dict(href=f'./S2_20210401_{band}.tif', type=TIFF)
        for band in BANDS
    })
    (folder / 'scene').write_text(json.dumps(item))
    # Addresses of an interface have no suffix.
    pytest.importorskip('pystac', reason='pystac is not installed')
    (image, ) = open_input(f'{nginx.address}/items/scene', 's2_l2a')
    for band in image.bands:
        with rasterio.open(band.path) as file:
            assert file.read(1)[0, 0] == band_value(band.name)


@needs_nginx
def test_all_pages_of_a_search(nginx, band_files, monkeypatch):
    pytest.importorskip('pystac', reason='pystac is not installed')
    folder = nginx.root / 'search'
    shutil.copytree(band_files('pages'), folder)
    assets = {band: dict(href=f'S2_20210401_{band}.tif', type=TIFF)
              for band in BANDS}

    def page(name, day, *links):
        (folder / name).write_text(json.dumps(dict(
            type='FeatureCollection', links=list(links),
            features=[stac_item(assets, day, f'scene-{day}')])))

    address = f'{nginx.address}/search/1.json'
    page('1.json', '2021-04-01', dict(rel='self', href='1.json'),
         dict(rel='next', href='2.json?token=a'))
    page('2.json', '2021-05-01', dict(rel='next', method='GET',
                                      href=f'{nginx.address}/search/3.json'))
    page('3.json', '2021-06-01')
    images = open_input(address, 's2_l2a')
    assert [str(image.date) for image in images] == [
        '2021-04-01', '2021-05-01', '2021-06-01']

    page('3.json', '2021-06-01', dict(rel='next', href='1.json'))
    monkeypatch.setattr('mmskysense.raster.inputs.stac._MAX_PAGES', 5)
    with pytest.raises(RasterContractError, match='at most 5 pages'):
        open_input(address, 's2_l2a')
    page('3.json', '2021-06-01', dict(rel='next', method='POST', href='4'))
    with pytest.raises(RasterContractError, match='3.json: .* found POST'):
        open_input(address, 's2_l2a')
    (folder / '3.json').write_text('{"type": "FeatureCollection"}')
    with pytest.raises(RasterContractError, match='3.json: expected a furt'):
        open_input(address, 's2_l2a')


@needs_nginx
@pytest.mark.parametrize('name, message', [
    ('nowhere.tif', r'nowhere.tif: expected a raster .*found none \(HTTP '
     'response code: 404'),
    ('nowhere.json', r'nowhere.json: .* found status 404 \(Not Found\)'),
])
def test_missing_on_the_server(nginx, name, message):
    pytest.importorskip('pystac', reason='pystac is not installed')
    with pytest.raises(RasterContractError, match=message):
        open_input(f'{nginx.address}/{name}', 's2_l2a')


@pytest.fixture
def stalling(tmp_path):
    """A function that serves tmp_path up to so many bytes."""
    processes = []

    def serve(limit):
        process = subprocess.Popen(
            [sys.executable, '-S', str(Path(__file__).with_name(
                'stalling_server.py')), str(tmp_path), str(limit)],
            stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return f'http://127.0.0.1:{process.stdout.readline().strip()}'

    yield serve
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_server_that_stops_in_the_middle(stalling, tmp_path):
    write_scene(tmp_path / 'scene.tif', 512)
    # The header comes, of the pixels only the first blocks.
    address = stalling(40000)
    (image, ) = open_input(f'{address}/scene.tif', 'hr_rgb', timeout=1)
    reader = RasterReader(image.bands[0].path, 'hr_rgb')
    assert reader.shape == (512, 512)
    with pytest.raises(RasterContractError,
                       match='scene.tif: expected 512x512 pixels .*blocks that'
                       ' could not be fetched .*the server stopped answering'):
        reader.read((256, 256, 256, 256))


def test_server_that_never_answers(stalling, tmp_path):
    write_scene(tmp_path / 'scene.tif', 256)
    with pytest.raises(RasterContractError, match='scene.tif: expected a '
                       'raster .* found none .*whether the server answers'):
        open_input(f'{stalling(0)}/scene.tif', 'hr_rgb', timeout=1)


def test_catalogue_that_stops_in_the_middle(stalling, tmp_path):
    (tmp_path / 'item.json').write_text('{"type": "Feature", "id": "x"}')
    with pytest.raises(RasterContractError, match='item.json: expected an '
                       r'answer within 1 seconds, found none \(timed out\)'):
        read_bytes(f'{stalling(10)}/item.json', timeout=1)


def test_server_that_is_not_there():
    with pytest.raises(RasterContractError, match='Connection refused'):
        read_bytes(f'http://127.0.0.1:{free_port()}/item.json', timeout=1)


def test_the_user_s_own_settings_win(monkeypatch):
    monkeypatch.setenv('GDAL_HTTP_LOW_SPEED_TIME', '77')
    monkeypatch.delenv('GDAL_HTTP_CONNECTTIMEOUT', raising=False)
    limit_waiting(5)
    assert os.environ['GDAL_HTTP_LOW_SPEED_TIME'] == '77'
    assert os.environ['GDAL_HTTP_CONNECTTIMEOUT'] == '5'
    with pytest.raises(ValueError, match='timeout=0: expected at least 1'):
        limit_waiting(0)


@pytest.mark.parametrize('address, path', [
    ('https://localhost/a.tif?x=1', '/vsicurl/https://localhost/a.tif?x=1'),
    ('s3://bucket/a.tif', '/vsis3/bucket/a.tif'),
    ('gs://bucket/a.tif', '/vsigs/bucket/a.tif'),
    ('file:///data/a.tif', '/data/a.tif'),
    ('/vsizip/a.zip/a.tif', '/vsizip/a.zip/a.tif'),
    ('data/a.tif', 'data/a.tif'),
])
def test_addresses_as_gdal_reads_them(address, path):
    assert gdal_path(address) == path
