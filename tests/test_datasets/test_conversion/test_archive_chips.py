# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Archives of large scenes, cut into chips for pre-training."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from mmskysense.datasets import MultiSensorTileDataset
from mmskysense.datasets.conversion import DataError, TilePlan
from mmskysense.datasets.conversion.archive_chips import (
    common_windows,
    cut_archive,
    cut_raster,
)
from mmskysense.datasets.index_builder import index_tiles
from mmskysense.raster.band_contract import RasterContractError
from mmskysense.raster.grid import GridWindow
from mmskysense.raster.reader import RasterReader


def read(path, window=None):
    with rasterio.open(path) as file:
        return file.read(window=window), file.bounds


@pytest.fixture
def chips(sample_world, tmp_path):
    """The sample world's tiles of 160 m (and 16 Sentinel pixels) in four."""
    with rasterio.open(sample_world / json.loads(
            (sample_world / 'index.json').read_text())['tiles'][0]['hr_rgb'][0]
            ) as file:
        side = file.height
    report = cut_archive(str(sample_world), str(tmp_path / 'chips'),
                         size=side // 2)
    return report, tmp_path / 'chips', side


def test_all_sensors_dates_and_labels_keep_their_ground(chips, sample_world):
    report, out, side = chips
    whole = {tile['id']: tile for tile in json.loads(
        (sample_world / 'index.json').read_text())['tiles']}
    tiles = json.loads((out / 'index.json').read_text())['tiles']
    assert len(tiles) == 4 * len(whole) and len(report.results) == len(whole)
    assert len({tile['id'] for tile in tiles}) == len(tiles)
    for tile in tiles:
        source = whole[tile['id'].rsplit('_', 4)[0]]
        top, bottom, left, right = map(int, tile['id'].split('_')[-4:])
        assert tile['split'] == source['split']
        assert (bottom - top, right - left) == (side // 2, side // 2)
        bounds = set()
        for sensor in ('hr_rgb', 's2_l2a', 's1_grd', 'hr_rgb_after'):
            assert tile[f'{sensor}_dates'] == source[f'{sensor}_dates']
            assert len(tile[sensor]) == len(source[sensor]) > 0
            for name, original in zip(tile[sensor], source[sensor],
                                      strict=True):
                values, ground = read(out / name)
                pixels, _ = read(sample_world / original)
                factor = side // pixels.shape[-1]
                np.testing.assert_array_equal(
                    values, pixels[:, top // factor:bottom // factor,
                                   left // factor:right // factor])
                bounds.add(tuple(round(edge, 6) for edge in ground))
                # Accepted as the original was: bands, units, nodata.
                RasterReader(out / name, sensor.removesuffix('_after')
                             ).check_contract()
        values, ground = read(out / tile['land_cover'])
        bounds.add(tuple(round(edge, 6) for edge in ground))
        np.testing.assert_array_equal(values, read(
            sample_world / source['land_cover'])[0][:, top:bottom,
                                                    left:right])
        assert len(bounds) == 1


def test_the_data_set_reads_them(chips):
    _, out, side = chips
    data = MultiSensorTileDataset(
        data_root=str(out), sensors=('hr_rgb', 's2_l2a', 's1_grd'),
        pipeline=[dict(type='mmskysense.LoadMultiSensorTile',
                       sensors=('hr_rgb', 's2_l2a', 's1_grd'))])
    assert data[0]['images']['hr_rgb'].shape[-2:] == (side // 2, side // 2)


def test_a_second_run_goes_on(chips, sample_world):
    report, out, side = chips
    lost = next(out.rglob('*.tif'))
    lost.unlink()
    again = cut_archive(str(sample_world), str(out), size=side // 2)
    assert lost.exists() and again.resumed == len(report.results) - 1
    with pytest.raises(DataError, match='options'):
        cut_archive(str(sample_world), str(out), size=side)


def test_plain_images_are_cut_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(1, 255, (3, 40, 56), np.uint8)
    (tmp_path / 'in/images').mkdir(parents=True)
    with rasterio.open(tmp_path / 'in/images/a.png', 'w', driver='PNG',
                       count=3, height=40, width=56, dtype='uint8') as file:
        file.write(pixels)
    index_tiles(tmp_path / 'in', dict(hr_rgb='images'))
    cut_archive(str(tmp_path / 'in'), str(tmp_path / 'out'), size=32,
                overlap=8)
    tiles = json.loads((tmp_path / 'out/index.json').read_text())['tiles']
    assert [tile['id'] for tile in tiles] == [
        f'a_{top}_{top + 32}_{left}_{left + 32}'
        for top in (0, 8) for left in (0, 24)]
    for tile in tiles:
        top, _, left, _ = map(int, tile['id'].split('_')[1:])
        values, valid = RasterReader(tmp_path / 'out' / tile['hr_rgb'][0],
                                     'hr_rgb').read()
        np.testing.assert_array_equal(
            values, pixels[:, top:top + 32, left:left + 32])
        assert valid.all()


def test_unmeasured_chips_are_left_out_and_counted(write_raster, tmp_path):
    values = np.zeros((3, 32, 64), np.uint8)
    values[:, :8, 32:36] = 9  # 32 of 1024 pixels
    write_raster('in/images/a.tif', values, nodata=0,
                 descriptions=('R', 'G', 'B'))
    index_tiles(tmp_path / 'in', dict(hr_rgb='images'))
    options = dict(root=str(tmp_path / 'in'), size=32)
    report = cut_archive(out=str(tmp_path / 'some'), min_measured=0.03,
                         **options)
    record = report.results['a'].record
    assert record['empty'] == 1
    assert [entry['id'] for entry in record['entries']] == ['a_0_32_32_64']
    # One measured pixel is asked for in any case.
    report = cut_archive(out=str(tmp_path / 'any'), min_measured=0, **options)
    assert report.results['a'].record['empty'] == 1
    with pytest.raises(DataError, match='40%.*lower --min-measured'):
        cut_archive(out=str(tmp_path / 'none'), min_measured=0.4, **options)
    assert not (tmp_path / 'none/index.json').exists()


@pytest.mark.parametrize('kind', ['mask', 'alpha', 'palette', 'scaled'])
def test_what_a_reader_goes_by_is_kept(kind, tmp_path):
    source, target = tmp_path / 'a.tif', tmp_path / 'b.tif'
    count = dict(mask=3, alpha=4, palette=1, scaled=2)[kind]
    values = np.random.default_rng(0).integers(0, 4, (count, 16, 16), np.uint8)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
            source, 'w', driver='GTiff', count=count, height=16, width=16,
            dtype='uint8', crs='EPSG:32631',
            photometric={'scaled': 'minisblack', 'palette': 'palette'}.get(
                kind, 'rgb'),
            transform=rasterio.Affine(10, 0, 5e5, 0, -10, 54e5)) as file:
        if kind == 'palette':
            file.write_colormap(1, {3: (1, 2, 3, 255)})
        file.write(values)
        file.update_tags(ACQUISITIONDATE='2020-01-02')
        if kind == 'mask':
            file.write_mask((values[0] > 1).astype(np.uint8) * 255)
        if kind == 'scaled':
            file.scales, file.offsets = (0.1, 1.0), (-1.0, 0.0)
            file.units, file.descriptions = ('dB', 'm'), ('VV', 'VH')
            file.update_tags(2, POLARISATION='VH')
    cut_raster(source, target, GridWindow(4, 8, 8, 6))
    with rasterio.open(source) as old, rasterio.open(target) as new:
        part = rasterio.windows.Window(8, 4, 6, 8)
        np.testing.assert_array_equal(new.read(), old.read(window=part))
        np.testing.assert_array_equal(new.dataset_mask(),
                                      old.dataset_mask(window=part))
        assert new.transform == old.window_transform(part)
        for name in ('crs', 'nodata', 'dtypes', 'colorinterp', 'descriptions',
                     'scales', 'offsets', 'units', 'mask_flag_enums'):
            assert getattr(new, name) == getattr(old, name), name
        assert new.tags()['ACQUISITIONDATE'] == '2020-01-02'
        if kind == 'scaled':
            assert new.tags(2)['POLARISATION'] == 'VH'
        if kind == 'palette':
            assert new.colormap(1)[3] == (1, 2, 3, 255)
    assert not list(tmp_path.glob('.partial*'))


@given(rows=st.integers(1, 6), columns=st.integers(1, 6),
       factors=st.sampled_from([(1, ), (2, 1), (4, 2, 1), (6, 3)]),
       size=st.integers(1, 4), data=st.data())
def test_windows_cover_all_rasters_alike(rows, columns, factors, size, data):
    unit = max(factors)
    overlap = data.draw(st.integers(0, size - 1))
    # A raster whose pixels hold f fine ones a side.
    shapes = {Path(str(f)): (rows * unit // f, columns * unit // f)
              for f in (1, *factors)}
    seen = {path: np.zeros(shape, int) for path, shape in shapes.items()}
    for windows in common_windows(
            shapes, TilePlan(size * unit, overlap * unit)):
        fine = np.array(windows[Path('1')].as_tuple())
        for path, window in windows.items():
            assert (np.array(window.as_tuple()) * int(path.name) == fine).all()
            seen[path][window.row:window.row + window.height,
                       window.column:window.column + window.width] += 1
    assert all(counts.min() >= 1 for counts in seen.values())


@given(height=st.integers(8, 90), width=st.integers(8, 90),
       ratio=st.floats(0.05, 3), size=st.integers(4, 40))
def test_other_rasters_are_cut_to_the_nearest_pixel(height, width, ratio,
                                                    size):
    other = max(1, round(height * ratio)), max(1, round(width * ratio))
    shapes = {Path('sensor'): (height, width), Path('label'): other}
    if abs(other[0] * width - other[1] * height) > max(height, width, *other):
        return
    for windows in common_windows(shapes, TilePlan(size), [Path('sensor')]):
        ours, theirs = windows[Path('sensor')], windows[Path('label')]
        assert ours.height == min(size, height)
        assert ours.width == min(size, width)
        assert theirs.height >= 1 and theirs.width >= 1
        assert theirs.row + theirs.height <= other[0]
        assert theirs.column + theirs.width <= other[1]
        edges = ((ours.row, theirs.row, height, other[0]),
                 (ours.column, theirs.column, width, other[1]))
        for fine, coarse, whole, whole_other in edges:
            expected = fine / whole * whole_other
            assert abs(coarse - expected) <= 0.5 or \
                coarse == whole_other - 1


def test_sensors_of_odd_ratio_and_finer_labels(write_raster, tmp_path):
    """1 m and 10 m of which the last 4 m are missing; labels of 0.5 m."""
    generator = np.random.default_rng(0)
    image = generator.integers(1, 255, (3, 104, 104), np.uint8)
    write_raster('in/hr/a.tif', image, ('R', 'G', 'B'), pixel=1.0)
    series = generator.integers(1, 9, (2, 10, 10)).astype(np.float32) - 20
    for day in ('20200101', '20200201'):
        write_raster(f'in/s1/a_{day}.tif', series, ('VV', 'VH'), pixel=10.4)
    label = generator.integers(0, 4, (1, 208, 208), np.uint8)
    write_raster('in/label/a.tif', label, pixel=0.5)
    index_tiles(tmp_path / 'in', dict(hr_rgb='hr', s1_grd='s1'),
                dict(osm='label'))
    cut_archive(str(tmp_path / 'in'), str(tmp_path / 'out'), size=52)
    tiles = json.loads((tmp_path / 'out/index.json').read_text())['tiles']
    assert [tile['id'] for tile in tiles] == [
        f'a_{top}_{top + 52}_{left}_{left + 52}'
        for top in (0, 52) for left in (0, 52)]
    for tile in tiles:
        top, bottom, left, right = map(int, tile['id'].split('_')[1:])
        np.testing.assert_array_equal(
            read(tmp_path / 'out' / tile['hr_rgb'][0])[0],
            image[:, top:bottom, left:right])
        np.testing.assert_array_equal(
            read(tmp_path / 'out' / tile['osm'])[0],
            label[:, 2 * top:2 * bottom, 2 * left:2 * right])
        assert tile['s1_grd_dates'] == ['2020-01-01', '2020-02-01']
        for name in tile['s1_grd']:
            assert read(tmp_path / 'out' / name)[0].shape == (2, 5, 5)


def test_other_ground_is_refused(write_raster, tmp_path):
    image = np.full((3, 32, 32), 9, np.uint8)
    write_raster('in/hr/a.tif', image, ('R', 'G', 'B'))
    write_raster('in/label/a.tif', image[:1], origin=(500050.0, 5400000.0))
    index_tiles(tmp_path / 'in', dict(hr_rgb='hr'), dict(osm='label'))
    with pytest.raises(DataError, match='label/a.tif.*expected the bounds'):
        cut_archive(str(tmp_path / 'in'), str(tmp_path / 'out'), size=16)


def test_a_corrected_size_can_follow_a_refused_one(sample_world, tmp_path):
    out = str(tmp_path / 'out')
    with pytest.raises(DataError, match='multiples of'):
        cut_archive(str(sample_world), out, size=33)
    side = rasterio.open(next(sample_world.glob('hr_rgb/train/*.tif'))).width
    assert cut_archive(str(sample_world), out, size=side).outputs


def test_tile_ids_that_look_like_files_and_other_keys(sample_world, tmp_path):
    root = tmp_path / 'in'
    shutil.copytree(sample_world, root)
    index = json.loads((root / 'index.json').read_text())
    for tile in index['tiles']:
        tile['id'] = f"x/{tile['id']}.tif"
        tile['country'] = 'France'
    (root / 'index.json').write_text(json.dumps(index))
    side = rasterio.open(next(root.glob('hr_rgb/train/*.tif'))).width
    cut_archive(str(root), str(tmp_path / 'out'), size=side)
    for tile in json.loads((tmp_path / 'out/index.json').read_text())[
            'tiles']:
        assert tile['country'] == 'France' and tile['id'].startswith('x/')
        assert 'bounds' not in tile
        assert (tmp_path / 'out' / tile['hr_rgb'][0]).is_file()


def test_control_points_move_and_statistics_go(tmp_path):
    source, target = tmp_path / 'a.tif', tmp_path / 'b.tif'
    point = rasterio.control.GroundControlPoint(8, 6, 2.0, 48.0, 0.0)
    with rasterio.open(source, 'w', driver='GTiff', count=1, height=16,
                       width=16, dtype='uint8') as file:
        file.write(np.zeros((1, 16, 16), np.uint8))
        file.gcps = [point], rasterio.crs.CRS.from_epsg(4326)
        file.update_tags(1, STATISTICS_MEAN='3', OTHER='x')
    cut_raster(source, target, GridWindow(4, 2, 8, 8))
    with rasterio.open(target) as file:
        points, crs = file.gcps
        assert (points[0].row, points[0].col) == (4, 4)
        assert (points[0].x, points[0].y) == (2.0, 48.0)
        assert crs.to_epsg() == 4326
        assert 'STATISTICS_MEAN' not in file.tags(1)
        assert file.tags(1)['OTHER'] == 'x'


@pytest.mark.parametrize('shapes, size, words', [
    (dict(a=(64, 64), b=(32, 16)), 32, 'b: expected the proportions of a'),
    (dict(a=(60, 60), b=(30, 30), c=(20, 20)), 30, None),
    (dict(a=(60, 60), b=(30, 30), c=(20, 20)), 20, 'c: .*multiples of 6'),
    (dict(a=(64, 64), b=(8, 8)), 20, 'multiples of 8.*--size 24'),
])
def test_pixels_that_do_not_fit_are_refused(shapes, size, words):
    shapes = {Path(key): shape for key, shape in shapes.items()}
    if words is None:
        assert len(list(common_windows(shapes, TilePlan(size)))) == 4
        return
    with pytest.raises(DataError, match=words):
        list(common_windows(shapes, TilePlan(size)))


def test_bad_archives_are_refused(sample_world, tmp_path):
    with pytest.raises(FileNotFoundError, match='build_index'):
        cut_archive(str(tmp_path), str(tmp_path / 'out'))
    root = tmp_path / 'world'
    shutil.copytree(sample_world, root)
    side = rasterio.open(next(root.glob('hr_rgb/train/*.tif'))).width
    with pytest.raises(ValueError, match='archive itself'):
        cut_archive(str(root), str(root / '.'))
    with pytest.raises(ValueError, match='min_measured'):
        cut_archive(str(root), str(tmp_path / 'out'), min_measured=3)
    with pytest.raises(ValueError, match='overlap'):
        cut_archive(str(root), str(tmp_path / 'out'), size=16, overlap=16)
    index = json.loads((root / 'index.json').read_text())
    damaged = root / index['tiles'][0]['hr_rgb'][0]
    damaged.write_bytes(b'not a raster')
    with pytest.raises((DataError, RasterContractError),
                       match=f"{damaged.name}.*"):
        cut_archive(str(root), str(tmp_path / 'out'), size=side)
    report = cut_archive(str(root), str(tmp_path / 'out'), size=side,
                         skip_bad=True)
    assert list(report.bad) == [index['tiles'][0]['id']]
    for tile in index['tiles']:
        tile['hr_rgb'] = tile['s1_grd'] = tile['s2_l2a'] = []
    (root / 'index.json').write_text(json.dumps(index))
    with pytest.raises(DataError, match="of a sensor for tile '0001'"):
        cut_archive(str(root), str(tmp_path / 'out2'), size=side)
