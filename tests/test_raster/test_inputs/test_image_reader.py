# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from input_miniatures import BANDS, band_value, write_band
from rasterio.crs import CRS
from rasterio.transform import from_origin

from mmskysense.raster import RasterContractError, RasterReader
from mmskysense.raster.inputs import (
    ImageReader,
    MapGrid,
    by_day,
    get_reader,
    grid_of,
    grid_of_images,
    open_input,
    read_area,
    requested_grid,
)
from mmskysense.raster.inputs.grid_source import GridSource

UTM = 'EPSG:32632'


@pytest.fixture
def scene(write_raster):
    """Three bands of noise, 8 bits, 40 x 50 pixels of 10 m."""
    values = np.random.default_rng(0).integers(
        1, 256, (3, 40, 50), dtype=np.uint8)
    path = write_raster('scene.tif', values, crs=UTM,
                        origin=(600000, 5000000))
    return path, values


def test_product_in_sensor_order_and_unit(product):
    (image, ) = open_input(product, 's2_l2a', mask_clouds=True)
    reader = ImageReader(image)
    values, valid = reader.check_contract().read()
    assert values.shape == (10, 60, 60) and values.dtype == np.float32
    for band, plane in zip(BANDS, values, strict=True):
        # The offset of the baseline is undone.
        np.testing.assert_array_equal(plane[valid], band_value(band))
    hidden = np.zeros((60, 60), bool)
    hidden[:10, :10] = True  # 5 x 5 pixels of 20 m
    np.testing.assert_array_equal(valid, ~hidden)
    # Windows, also beyond the scene, are parts of the whole.
    part, seen = reader.read((50, -5, 20, 15))
    np.testing.assert_array_equal(part[:, :10, 5:], values[:, 50:, :10])
    assert not seen[10:].any() and not seen[:, :5].any()


def test_same_as_the_plain_reader(scene):
    path, _ = scene
    (image, ) = open_input(path, 'hr_rgb')
    plain = get_reader(image, grid_of(path))
    assert type(plain) is RasterReader
    for window in (None, (5, 7, 20, 11), (-3, 45, 9, 9)):
        for mine, theirs in zip(ImageReader(image).read(window),
                                plain.read(window), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_area_hides_pixels(product, tmp_path):
    import json
    pytest.importorskip('pyogrio', reason='pyogrio is not installed')
    ring = [[600100, 4999900], [600200, 4999900], [600200, 4999800],
            [600100, 4999800], [600100, 4999900]]
    path = tmp_path / 'a.geojson'
    path.write_text(json.dumps(dict(
        type='Polygon', coordinates=[ring], crs=dict(
            type='name',
            properties=dict(name='urn:ogc:def:crs:EPSG::32632')))))
    (image, ) = open_input(product, 's2_l2a')
    grid = ImageReader(image).map_grid
    area = read_area(path).on_grid('x', grid.crs, grid.transform, grid.shape)
    _, valid = ImageReader(image, grid, area).read()
    assert valid[10:20, 10:20].all() and valid.sum() == 100


def test_shifted_grid_reads_the_same_pixels(scene):
    path, values = scene
    (image, ) = open_input(path, 'hr_rgb')
    # Ten pixels further south-east, and larger than what is left.
    grid = MapGrid(grid_of(path).crs, from_origin(600100, 4999900, 10, 10),
                   (40, 50))
    read, valid = ImageReader(image, grid).read()
    np.testing.assert_array_equal(read[:, :30, :40], values[:, 10:, 10:])
    assert valid[:30, :40].all() and valid.sum() == 30 * 40


def test_coarser_grid_averages(scene):
    path, values = scene
    (image, ) = open_input(path, 'hr_rgb')
    grid = requested_grid(grid_of(path), resolution=50)
    read, valid = ImageReader(image, grid).read()
    means = values.reshape(3, 8, 5, 10, 5).mean(axis=(2, 4))
    assert valid.all() and read.shape == (3, 8, 10)
    assert np.abs(read - means).max() <= 1


def test_other_crs_finds_the_same_ground(write_raster):
    # A ramp, on which bilinear interpolation is exact.
    ramp = np.add.outer(np.arange(40), np.arange(50)).astype(np.float32) - 70
    path = write_raster('s1.tif', np.stack([ramp, ramp / 2]), ('VV', 'VH'),
                        crs=UTM, origin=(600000, 5000000))
    (image, ) = open_input(path, 's1_grd', nodata=-999)
    grid = requested_grid(grid_of(path), 'EPSG:32633')
    values, valid = ImageReader(image, grid).read()
    assert 0.7 < valid.mean() < 1  # turned, so corners are empty
    from rasterio.warp import transform
    rows, columns = np.nonzero(valid)
    xs, ys = grid.transform * (columns + 0.5, rows + 0.5)
    xs, ys = transform(grid.crs, UTM, xs, ys)
    expected = (5000000 - np.array(ys)) / 10 - 0.5 + (
        np.array(xs) - 600000) / 10 - 0.5 - 70
    inner = np.zeros_like(valid)
    inner[3:-3, 3:-3] = valid[3:-3, 3:-3]
    keep = inner[rows, columns]
    error = np.abs(values[0, rows, columns] - expected)[keep]
    assert np.quantile(error, 0.9) < 0.2


@pytest.mark.parametrize('how', ['nodata', 'mask', 'alpha', 'nan'])
def test_what_was_not_measured_stays_so_when_warped(write_raster, how):
    values = np.full((1, 40, 40), 100.0 if how == 'nan' else 100,
                     np.float32 if how == 'nan' else np.uint8)
    options = {}
    hole = (slice(None), slice(10, 20), slice(10, 20))
    if how == 'nan':
        values[hole] = np.nan
    elif how == 'nodata':
        values[hole], options['nodata'] = 7, 7
    elif how == 'mask':
        options['mask'] = np.ones((40, 40), bool)
        options['mask'][10:20, 10:20] = False
        values[hole] = 255
    else:
        alpha = np.full((1, 40, 40), 255, np.uint8)
        alpha[hole] = 0
        values = np.concatenate([values, alpha])
        options['photometric'] = 'MINISBLACK'
        options['alpha'] = 'YES'
    path = write_raster('a.tif', values, crs=UTM, origin=(600000, 5000000),
                        **options)
    nodata = grid_nodata(path)
    for pixel, slot in ((10, slice(10, 20)), (5, slice(20, 40)),
                        (20, slice(5, 10))):
        grid = requested_grid(grid_of(path), resolution=pixel)
        read, valid = GridSource(path, (1, ), grid, nodata).read(
            (0, 0, *grid.shape))
        assert not valid[slot, slot].any()
        # Nothing of the hole leaks into what is valid.
        np.testing.assert_array_equal(read[0][valid], 100)
        expected = grid.shape[0]**2 - (slot.stop - slot.start)**2
        assert abs(valid.sum() - expected) <= 0.1 * expected


def grid_nodata(path):
    with rasterio.open(path) as file:
        return file.nodata


def test_dark_pixels_of_pictures_are_measured(write_raster):
    """0 in one band is a colour, 0 in all bands is not, warped or not."""
    values = np.full((3, 40, 40), 90, np.uint8)
    values[0, :20] = 0
    values[:, 30:] = 0
    path = write_raster('a.tif', values, nodata=0, crs=UTM,
                        origin=(600000, 5000000))
    (image, ) = open_input(path, 'hr_rgb')
    for grid in (grid_of(path), requested_grid(grid_of(path), resolution=5)):
        valid = ImageReader(image, grid).read()[1]
        side = grid.shape[0]
        assert valid[:side * 3 // 4].all() and not valid[side * 3 // 4:].any()


def test_every_thread_and_process_opens_its_own(product):
    (image, ) = open_input(product, 's2_l2a')
    reader = pickle.loads(pickle.dumps(ImageReader(image)))
    whole, _ = reader.read()
    windows = [(r, c, 20, 20) for r in (0, 20, 40) for c in (0, 20, 40)] * 3
    with ThreadPoolExecutor(4) as pool:
        for window, (values, _) in zip(windows, pool.map(
                reader.read, windows), strict=True):
            row, column, height, width = window
            np.testing.assert_array_equal(
                values, whole[:, row:row + height, column:column + width])


def test_files_without_georeference_must_have_one_size(tmp_path):
    from rasterio.errors import NotGeoreferencedWarning
    with pytest.warns(NotGeoreferencedWarning):
        for band in BANDS:
            side = 8 if band == 'B05' else 16
            path = write_band(tmp_path / 'x' / f'{band}.tif', 500, side, 10)
            with rasterio.open(path) as file:
                values = file.read()
            path.unlink()
            with rasterio.open(path, 'w', driver='GTiff', count=1,
                               height=side, width=side,
                               dtype='uint16') as file:
                file.write(values)
    (image, ) = open_input(tmp_path / 'x', 's2_l2a')
    with pytest.raises(RasterContractError, match='B05.tif: expected the grid '
                       'of .*B02.tif .16x16 pixels., found 8x8 pixels without '
                       'georeference'):
        ImageReader(image).read()


def test_wrong_data_type_names_the_band_s_file(band_files):
    folder = band_files('x', dtype='uint8', value=lambda band: 9)
    (image, ) = open_input(folder, 's2_l2a')
    with pytest.raises(RasterContractError,
                       match="B02.tif: sensor 's2_l2a' expects .*found uint8"):
        ImageReader(image).read()


def test_truncated_band_names_the_file(band_files):
    folder = band_files('x', tiled=True, blockxsize=16, blockysize=16)
    path = folder / 'S2_20210401_B11.tif'
    path.write_bytes(path.read_bytes()[:-1200])
    (image, ) = open_input(folder, 's2_l2a')
    with pytest.raises(RasterContractError, match='B11.tif: expected 30x30 '
                       'pixels .* truncated or damaged'):
        ImageReader(image).read()


def test_picture_of_bands_in_several_files(product):
    (image, ) = open_input(product, 's2_l2a')
    small = ImageReader(image).dataset.read([3, 2, 8], out_shape=(3, 15, 15))
    assert small.shape == (3, 15, 15)
    assert [plane[7, 7] - 1000 for plane in small.astype(int)] == [
        band_value(band) for band in ('B04', 'B03', 'B8A')]


def test_neighbouring_tiles_of_one_day_are_one(write_raster, tmp_path):
    """Two tiles that overlap by 10 columns, one with a hole, one offset."""
    values = np.random.default_rng(0).integers(
        500, 9000, (10, 40, 70), dtype=np.uint16)
    west, east = values[:, :, :40].copy(), values[:, :, 30:] + 1000
    west[:, 5:8, 35:38] = 0
    for name, part, left in (('a', west, 600000), ('b', east, 600300)):
        write_raster(f'{name}_20210401.tif', part, BANDS, nodata=0, crs=UTM,
                     origin=(left, 5000000))
    first, = open_input(tmp_path / 'a_20210401.tif', 's2_l2a')
    second, = open_input(tmp_path / 'b_20210401.tif', 's2_l2a', offset=-1000)
    grid = grid_of_images([first, second])
    assert grid.shape == (40, 70) and grid.bounds[0] == 600000
    # The order gives the pixels' origin, not the extent.
    assert grid_of_images([second, first]).bounds == grid.bounds
    reader = get_reader([first, second], grid).check_contract()
    read, valid = reader.read()
    assert valid.all()
    np.testing.assert_array_equal(read, values)
    part, seen = reader.read((-5, 60, 20, 20))
    np.testing.assert_array_equal(part[:, 5:, :10], values[:, :15, 60:])
    assert seen[5:, :10].all() and seen.sum() == 150
    picture = reader.dataset.read([1], out_shape=(1, 20, 35))
    assert picture.shape == (1, 20, 35) and (picture > 0).all()


def test_tiles_of_two_zones_are_joined(write_raster, tmp_path):
    level = np.full((2, 40, 40), -12, np.float32)
    write_raster('a_20210401.tif', level, ('VV', 'VH'), crs='EPSG:32632',
                 pixel=100, origin=(740000, 5000000))
    write_raster('b_20210401.tif', level - 3, ('VV', 'VH'), crs='EPSG:32633',
                 pixel=100, origin=(270000, 5000000))
    images = [image for name in 'ab' for image in open_input(
        tmp_path / f'{name}_20210401.tif', 's1_grd')]
    assert [len(day) for day in by_day(images)] == [2]
    grid = grid_of_images(images)
    assert grid.crs == CRS.from_epsg(32632) and grid.transform.a == 100
    assert grid.shape[1] > 40
    read, valid = get_reader(images, grid).read()
    assert set(np.unique(read[0][valid]).round()) == {-12, -15}
    assert 1600 < valid.sum() <= 3300


def test_tiles_without_georeference_are_not_joined(write_raster, tmp_path):
    for name in 'ab':
        write_raster(f'{name}_20210401.tif', np.ones((3, 4, 4), np.uint8),
                     crs=None)
    images = [image for name in 'ab' for image in open_input(
        tmp_path / f'{name}_20210401.tif', 'hr_rgb')]
    with pytest.raises(RasterContractError, match='joining several files'):
        grid_of_images(images)
