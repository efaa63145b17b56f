# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform

from mmskysense.raster import MapWriter, ProbabilityWriter
from mmskysense.raster.inputs import open_input
from mmskysense.visualization.map_page import save_map_page

sys.path.insert(0, str(Path(__file__).parent))
from browser import Browser, find_browser

pytest.importorskip('js_lib_leaflet',
                    reason='django-js-lib-leaflet is not installed')
NAMES = ['water & ice', 'forest', 'field']
PALETTE = [[40, 110, 200], [30, 120, 60], [230, 200, 90]]
UTM = 'EPSG:32632'
GRID = from_origin(600000, 5000000, 10, 10)


@pytest.fixture
def scene(tmp_path, write_raster):
    """A function that writes raster, map, probabilities, uncertainty."""

    def write(height=90, width=120, crs=UTM, grid=GRID):
        classes = np.zeros((height, width), np.uint8)
        classes[:, width // 3:] = 1
        classes[height // 2:, width // 3:] = 2
        classes[:10, :10] = 255
        valid = classes != 255
        chances = np.stack([0.1 + 0.8 * (classes == k) for k in range(3)])
        files = {name: str(tmp_path / f'{name}.tif')
                 for name in ('map', 'chances', 'doubt')}
        with MapWriter(files['map'], height, width, NAMES, PALETTE, crs,
                       grid) as writer:
            writer.write(0, classes)
        with ProbabilityWriter(files['chances'], height, width, NAMES, crs,
                               grid) as writer:
            writer.write(0, writer.encode(chances, valid))
        doubt = np.tile(np.linspace(0, 1, width), (1, height, 1))
        with ProbabilityWriter(files['doubt'], height, width, ['entropy'],
                               crs, grid) as writer:
            writer.write(0, writer.encode(doubt, valid))
        picture = np.random.default_rng(0).integers(
            1, 255, (3, height, width), dtype=np.uint8)
        files['image'] = str(tmp_path / 'scene_20210401.tif')
        with rasterio.open(
                files['image'], 'w', driver='GTiff', count=3, height=height,
                width=width, dtype='uint8', crs=crs, transform=grid) as file:
            file.write(picture)
        return files

    return write


def page_data(page):
    text = (page.parent / 'layers.js').read_text()
    return json.loads(text.removeprefix('window.pageData = ').rstrip(';\n'))


def decode(layer, band=0):
    content = base64.b64decode(layer['bands'][band]['values'].split(',')[1])
    return np.asarray(Image.open(io.BytesIO(content)))


def save(files, folder, **options):
    return save_map_page(folder, files['map'],
                         open_input(files['image'], 'hr_rgb'),
                         files['doubt'], files['chances'], **options)


def test_pictures_lie_where_the_map_lies(scene, tmp_path):
    page = save(scene(), tmp_path / 'page')
    data = page_data(page)
    frame = data['frame']
    assert frame['mercator'] and frame['metres'] == pytest.approx(10)
    kinds = {layer['id']: layer for layer in data['layers']}
    assert list(kinds) == ['input-0', 'classes', 'probability', 'uncertainty']
    classes = decode(kinds['classes'])
    assert list(classes.shape) == frame['shape']
    # Centres of the map's pixels are found where Mercator says.
    left, bottom, right, top = frame['bounds']
    height, width = frame['shape']
    for row, column, expected in ((5, 5, 255), (50, 10, 0), (10, 100, 1),
                                  (80, 100, 2)):
        x, y = GRID * (column + 0.5, row + 0.5)
        (x, ), (y, ) = transform(UTM, 'EPSG:3857', [x], [y])
        place = (int((top - y) / (top - bottom) * height),
                 int((x - left) / (right - left) * width))
        assert classes[place] == expected
        if expected != 255:
            chance = decode(kinds['probability'], expected)[place]
            assert chance / 254 == pytest.approx(0.9, abs=0.01)
    meaning = kinds['uncertainty']['bands'][0]
    assert (meaning['low'], meaning['high']) == (0, pytest.approx(1))
    assert meaning['name'] == 'entropy'
    assert [entry['name'] for entry in data['classes']] == NAMES
    assert sum(entry['share'] for entry in data['classes']) == pytest.approx(1)
    picture = Image.open(page.parent / 'input-0.webp')
    assert picture.size == (width, height) and picture.mode == 'RGBA'


def test_large_maps_are_shown_coarser_and_say_so(scene, tmp_path):
    page = save(scene(400, 600), tmp_path / 'page', max_side=100)
    assert max(page_data(page)['frame']['shape']) == 100
    text = page.read_text()
    assert '600 x 400 pixels of 10 m, shown 6' in text
    assert 'times coarser: one pixel here stands for' in text


def test_most_frequent_class_wins(scene, tmp_path):
    page = save(scene(90, 120), tmp_path / 'page', max_side=12)
    classes = decode(page_data(page)['layers'][1])
    assert set(np.unique(classes)) <= {0, 1, 2, 255}
    assert classes[-2, -2] == 2 and classes[2, -2] == 1


@pytest.mark.parametrize('crs, grid, metres', [
    (None, Affine.identity(), None),
    # Around a pole, and across the antimeridian: no Mercator.
    ('EPSG:3413', from_origin(-50000, 50000, 1000, 1000), 1000),
    ('EPSG:32760', from_origin(815000, 8010000, 500, 500), 500),
])
@pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning')
def test_own_grid_where_there_is_no_mercator(scene, tmp_path, crs, grid,
                                             metres):
    page = save(scene(crs=crs, grid=grid), tmp_path / 'page')
    data = page_data(page)
    assert not data['frame']['mercator']
    assert data['frame']['metres'] == metres
    assert data['frame']['bounds'] == [0, -90, 120, 0]
    classes = decode(data['layers'][1])
    assert classes[5, 5] == 255 and classes[80, 100] == 2
    assert 'on its own grid' in page.read_text()


def test_several_inputs(scene, tmp_path, write_raster):
    files = scene()
    radar = write_raster('s1_20210402.tif',
                         np.full((2, 90, 120), 0.1, np.float32), ('VV', 'VH'),
                         crs=UTM, origin=(600000, 5000000))
    images = [*open_input(files['image'], 'hr_rgb'),
              *open_input(radar, 's1_grd', scale='decibel')]
    page = save_map_page(tmp_path / 'page', files['map'], images)
    layers = page_data(page)['layers']
    assert [layer['name'] for layer in layers] == [
        'hr_rgb 2021-04-01', 's1_grd 2021-04-02', 'map']
    assert [layer['on'] for layer in layers] == [True, False, True]


def test_page_is_whole_and_replaces_only_pages(scene, tmp_path):
    files = scene()
    page = save(files, tmp_path / 'page')
    inside = {path.name for path in page.parent.iterdir()}
    assert inside == {'index.html', 'page.css', 'page.js', 'layers.js',
                      'input-0.webp', 'leaflet.js', 'leaflet.css',
                      'LICENSE-leaflet.txt'}
    assert 'BSD 2-Clause' in (page.parent / 'LICENSE-leaflet.txt').read_text()
    save_map_page(tmp_path / 'page', files['map'])  # again, without inputs
    assert not (page.parent / 'input-0.webp').exists()
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/notes.txt').touch()
    with pytest.raises(FileExistsError, match='mine: expected a new folder or '
                       'an earlier page, found other files in it'):
        save(files, tmp_path / 'mine')
    with pytest.raises(FileNotFoundError, match='create it with mkdir -p'):
        save(files, tmp_path / 'nowhere/page')
    # Nothing half-written stays behind.
    (tmp_path / 'bad.tif').write_bytes(b'no raster')
    with pytest.raises(rasterio.errors.RasterioIOError):
        save_map_page(tmp_path / 'new', files['map'],
                      uncertainty=tmp_path / 'bad.tif')
    assert not (tmp_path / 'new').exists()
    assert not list(tmp_path.glob('.*partial*'))


BROWSER = find_browser()
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason='no Chromium is installed (apt install chromium)')


def opacity(browser, layer):
    """Opacity of a layer's picture as the browser computes it."""
    order = ['input-0', 'classes', 'probability', 'uncertainty'].index(layer)
    return float(browser.run(
        'getComputedStyle(document.querySelectorAll('
        f'".leaflet-overlay-pane img")[{order}]).opacity'))


@needs_browser
def test_in_a_browser(scene, tmp_path):
    page = save(scene(), tmp_path / 'page')
    with Browser(BROWSER) as browser:
        assert browser.open(page) == 'true'
        before = np.asarray(Image.open(io.BytesIO(browser.screenshot())))
        assert [opacity(browser, layer) for layer in (
            'input-0', 'classes', 'probability', 'uncertainty')] == [
                1, 0.6, 0, 0]
        # Drag the map's slider to its right end, by mouse.
        x, y, width = browser.centre('#opacity-classes')
        browser.mouse('mouseMoved', x + 0.1 * width, y)
        browser.mouse('mousePressed', x + 0.1 * width, y)
        browser.mouse('mouseMoved', x + 0.45 * width, y)
        browser.mouse('mouseMoved', x + 0.6 * width, y)
        browser.mouse('mouseReleased', x + 0.6 * width, y)
        assert opacity(browser, 'classes') == 1
        assert '100 %' in browser.run(
            'document.querySelector("#layer-classes output").textContent')
        # Where the map hides the noise there is only the legend's colour.
        x, y, width = browser.centre('.leaflet-overlay-pane img')
        after = np.asarray(Image.open(io.BytesIO(browser.screenshot())))
        spot = (round(y + 40), round(x + width * 0.3))
        np.testing.assert_array_equal(after[spot][:3], PALETTE[2])
        assert (before[spot][:3] != PALETTE[2]).any()
        # What is under the pointer.
        browser.mouse('mouseMoved', spot[1], spot[0])
        told = browser.run('document.getElementById("position").textContent')
        assert '° N' in told and '° E' in told and 'field' in told
        assert 'probability, water & ice 0.0984' in told  # 25 of 254
        assert 'uncertainty 0.' in told
        # A checkbox switches a layer on, with the same slider.
        x, y, _ = browser.centre('#layer-uncertainty input[type=checkbox]')
        browser.click(x, y)
        assert opacity(browser, 'uncertainty') == 0.8
        # The scale bar is as long as it says, to the pixel.
        length, text = browser.run(
            '(e => [e.getBoundingClientRect().width, e.textContent])('
            'document.querySelector(".leaflet-control-scale-line"))')
        shown = browser.run('document.querySelector(".leaflet-overlay-pane '
                            'img").getBoundingClientRect().width')
        metres = float(text.split()[0])
        assert length == pytest.approx(metres / 1200 * shown, rel=0.05)
        # Nothing was asked of anything but the folder.
        assert len(browser.addresses) > 5
        folder = page.parent.resolve().as_uri()
        assert all(address.startswith((folder, 'data:'))
                   for address in browser.addresses)
        assert browser.messages == []
        (tmp_path / 'page.png').write_bytes(browser.screenshot())


@needs_browser
@pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning')
def test_without_georeference_in_a_small_window(scene, tmp_path):
    page = save(scene(crs=None, grid=Affine.identity()), tmp_path / 'page')
    with Browser(BROWSER, (400, 700)) as browser:
        assert browser.open(page) == 'true'
        text = browser.run('document.querySelector('
                           '".leaflet-control-scale-line").textContent')
        assert text.endswith(' px')
        x, y, _ = browser.centre('.leaflet-overlay-pane img')
        # The panel does not cover the map.
        assert browser.run(
            'document.querySelector(".leaflet-overlay-pane img")'
            '.getBoundingClientRect().bottom < '
            'document.getElementById("panel").getBoundingClientRect().top')
        browser.mouse('mouseMoved', x, y)
        told = browser.run('document.getElementById("position").textContent')
        row, column = re.match(r'row (\d+), column (\d+)', told).groups()
        assert abs(int(row) - 45) <= 1 and abs(int(column) - 60) <= 1
        (tmp_path / 'small.png').write_bytes(browser.screenshot())
        assert browser.messages == []
