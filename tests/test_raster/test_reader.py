# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import os
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window
from torch.utils.data import DataLoader, Dataset

from mmskysense.raster import open_files
from mmskysense.raster import reader as reader_module
from mmskysense.raster.band_contract import RasterContractError
from mmskysense.raster.open_files import open_raster, read_band
from mmskysense.raster.reader import RasterReader
from mmskysense.sensors import get_sensor

S2_NAMES = get_sensor('s2_l2a').band_names


def ramp(bands, height=16, width=20, dtype='uint16'):
    """Neighbouring pixels and bands differ; 100 to 20100."""
    count = np.arange(bands * height * width) % 20000 + 100
    return count.reshape(bands, height, width).astype(dtype)


def rgb(height=8, width=9):
    return np.random.default_rng(0).integers(
        1, 255, (3, height, width), dtype=np.uint8)


def test_reorders_by_description(write_raster):
    values = ramp(12)
    names = ('B12', 'B01', *S2_NAMES[:9], 'B09')
    path = write_raster('a.tif', values, names)
    read, valid = RasterReader(path, 's2_l2a').read()
    assert read.dtype == np.float32 and valid.dtype == bool and valid.all()
    order = [names.index(name) for name in S2_NAMES]
    np.testing.assert_array_equal(read, values[order])


@pytest.mark.parametrize('suffix, driver', [('png', 'PNG'), ('tif', 'GTiff')])
def test_reads_pictures_without_georeference(tmp_path, suffix, driver,
                                             recwarn):
    values = rgb()
    path = tmp_path / f'a.{suffix}'
    with rasterio.open(path, 'w', driver=driver, count=3, height=8, width=9,
                       dtype='uint8') as file:
        file.write(values)
    recwarn.clear()
    reader = RasterReader(path, 'hr_rgb')
    read, valid = reader.read()
    np.testing.assert_array_equal(read, values)
    assert valid.all() and reader.crs is None
    assert not reader.grid.has_transform
    assert not recwarn.list


def test_reads_jpeg(tmp_path):
    path = tmp_path / 'a.jpg'
    with rasterio.open(path, 'w', driver='JPEG', count=3, height=32,
                       width=32, dtype='uint8', quality=95) as file:
        file.write(np.full((3, 32, 32), 77, np.uint8))
    read, _ = RasterReader(path, 'hr_rgb').read()
    assert np.abs(read - 77).max() <= 2


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(-20, 20), column=st.integers(-25, 25),
       height=st.integers(1, 30), width=st.integers(1, 30))
def test_any_window_equals_padded_array(write_raster, row, column, height,
                                        width):
    values = ramp(2)
    path = write_raster('window.tif', values.astype('float32') * -1e-3,
                        ('VV', 'VH'))
    read, valid = RasterReader(path, 's1_grd').read(
        Window(column, row, width, height), fill=-1.0)
    padded = np.pad(values.astype('float32') * np.float32(-1e-3),
                    ((0, 0), (60, 60), (60, 60)), constant_values=-1.0)
    inside = np.pad(np.ones((16, 20), bool), 60)
    place = (slice(60 + row, 60 + row + height),
             slice(60 + column, 60 + column + width))
    np.testing.assert_allclose(read, padded[(slice(None), *place)])
    np.testing.assert_array_equal(valid, inside[place])


def test_nodata_nan_and_infinity_are_invalid(write_raster):
    values = np.full((2, 6, 6), -12, np.float32)
    values[0, 0, 0], values[1, 1, 1], values[0, 2, 2] = np.nan, np.inf, -99
    path = write_raster('a.tif', values, ('VV', 'VH'), nodata=-99)
    read, valid = RasterReader(path, 's1_grd').read()
    assert valid.sum() == 33
    assert not valid[[0, 1, 2], [0, 1, 2]].any()
    assert np.isfinite(read).all() and (read[:, ~valid] == 0).all()


def test_nan_as_nodata(write_raster):
    values = np.full((2, 6, 6), -12, np.float32)
    values[:, :2] = np.nan
    path = write_raster('a.tif', values, ('VV', 'VH'), nodata=np.nan)
    assert RasterReader(path, 's1_grd').read()[1].sum() == 24


def test_sensor_convention_where_the_file_says_nothing(write_raster):
    values = ramp(10)
    values[4, 3, 5] = 0
    path = write_raster('a.tif', values, S2_NAMES)
    valid = RasterReader(path, 's2_l2a').read()[1]
    assert valid.sum() == valid.size - 1 and not valid[3, 5]
    # The user's own statement replaces it.
    assert RasterReader(path, 's2_l2a', nodata=65535).read()[1].all()


def test_zero_filled_swath_edge_of_radar(write_raster):
    values = np.full((2, 6, 6), -12, np.float32)
    values[:, :, :2] = 0
    path = write_raster('a.tif', values, ('VV', 'VH'))
    assert RasterReader(path, 's1_grd').read()[1].sum() == 24


def test_eight_bit_nodata_needs_all_bands(write_raster):
    values = rgb()
    values[:, 0, 0] = 0
    values[2, 1, 1] = 0
    path = write_raster('a.tif', values, nodata=0)
    valid = RasterReader(path, 'hr_rgb').read()[1]
    assert not valid[0, 0] and valid[1, 1] and valid.sum() == valid.size - 1


def test_internal_mask_and_alpha(write_raster):
    mask = np.full((8, 9), 255, np.uint8)
    mask[:3] = 0
    masked = write_raster('mask.tif', rgb(), mask=mask)
    with_alpha = write_raster('alpha.tif', np.concatenate([rgb(), mask[None]]),
                              photometric='RGB', alpha='YES')
    for path in (masked, with_alpha):
        read, valid = RasterReader(path, 'hr_rgb').read()
        assert read.shape[0] == 3
        np.testing.assert_array_equal(valid, mask > 0)


@pytest.mark.parametrize('dtype, stored, options, expected', [
    ('float32', 0.25, dict(scale=10000), 2500),
    ('uint8', 50, dict(scale=20.0, offset=-100.0), 900),
    ('int16', 3500, dict(offset=-1000.0), 2500),
])
def test_scale_and_offset(write_raster, dtype, stored, options, expected):
    path = write_raster('a.tif', np.full((10, 5, 5), stored, dtype), S2_NAMES)
    read, valid = RasterReader(path, 's2_l2a', **options).read()
    assert valid.all()
    np.testing.assert_allclose(read, expected, rtol=1e-6)


def test_imagery_scaled_to_8_bits_saturates(write_raster):
    # 16-bit Landsat: a few roofs and shadows lie beyond what scale= covers.
    values = np.full((3, 40, 40), 8000, dtype=np.uint16)
    values[:, 0, 0], values[1, 0, 1] = 20000, 100
    path = write_raster('a.tif', values)
    read, valid = RasterReader(path, 'hr_rgb', scale=0.06, offset=-340).read()
    assert valid.all()  # dropped, they would be holes in a map
    assert read[:, 0, 0].tolist() == [255, 255, 255] and read[1, 0, 1] == 0
    np.testing.assert_allclose(read[:, 1:], 140, rtol=1e-6)
    # Most of the file beyond it is a wrong scale.
    with pytest.raises(RasterContractError, match='out of range'):
        RasterReader(path, 'hr_rgb', scale=1.0).read()


def test_linear_power_to_decibel(write_raster):
    values = np.full((2, 5, 5), 0.01, np.float32)
    values[0, 0, 0] = 0
    path = write_raster('a.tif', values, ('VV', 'VH'))
    with pytest.raises(RasterContractError, match='linear power'):
        RasterReader(path, 's1_grd').read()
    read, valid = RasterReader(path, 's1_grd', scale='decibel').read()
    np.testing.assert_allclose(read[:, valid], -20, rtol=1e-5)
    assert valid.sum() == 24
    with pytest.raises(ValueError, match='decibel'):
        RasterReader(path, 's1_grd', scale='log')


def test_all_nodata_is_no_error(write_raster):
    path = write_raster('a.tif', np.zeros((10, 6, 6), 'uint16'), S2_NAMES)
    read, valid = RasterReader(path, 's2_l2a').read()
    assert not valid.any() and (read == 0).all()


def bad_file(kind, tmp_path, write_raster):
    path = tmp_path / f'{kind}.tif'
    if kind == 'empty':
        path.touch()
    elif kind == 'text':
        path.write_text('not a raster')
    elif kind == 'truncated':
        values = np.random.default_rng(0).integers(1, 255, (3, 256, 256),
                                                   dtype=np.uint8)
        write_raster('truncated.tif', values, compress='deflate')
        content = path.read_bytes()
        path.write_bytes(content[:len(content) // 2])
    return path


@pytest.mark.parametrize('kind, words', [
    ('missing', 'no such file'),
    ('empty', '0 bytes'),
    ('text', 'GDAL can open'),
    ('truncated', '(truncated|GDAL can open)'),
])
def test_damaged_files(kind, words, tmp_path, write_raster):
    path = bad_file(kind, tmp_path, write_raster)
    for read in (RasterReader(path, 'hr_rgb').read,
                 lambda: read_band(str(path))):
        with pytest.raises(RasterContractError, match=words) as error:
            read()
        message = str(error.value)
        assert message.startswith(f'{path}: ') and '\n' not in message
        assert 'expected' in message and 'found' in message


def test_truncated_blocks_are_noticed_when_read(tmp_path, write_raster):
    values = np.random.default_rng(0).integers(1, 255, (3, 256, 256),
                                               dtype=np.uint8)
    path = write_raster('a.tif', values)  # its directory is at the front
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) - 60000)
    reader = RasterReader(path, 'hr_rgb')
    assert reader.shape == (256, 256)
    with pytest.raises(RasterContractError, match='unreadable blocks'):
        reader.read()


def test_notices_a_rewritten_file(write_raster):
    path = write_raster('a.tif', np.full((3, 4, 4), 7, np.uint8))
    assert RasterReader(path, 'hr_rgb').read()[0].max() == 7
    os.remove(path)
    write_raster('a.tif', np.full((3, 5, 6), 9, np.uint8))
    read, _ = RasterReader(path, 'hr_rgb').read()
    assert read.shape == (3, 5, 6) and read.max() == 9


def test_open_handles_are_bounded(write_raster):
    limit = open_files._MAX_HANDLES
    paths = [write_raster(f'{n}.tif', np.full((3, 4, 4), n + 1, np.uint8))
             for n in range(limit + 5)]
    for _ in range(2):
        for n, path in enumerate(paths):
            assert RasterReader(path, 'hr_rgb').read()[0].max() == n + 1
    assert len(open_files._LOCAL.handles) == limit


def test_threads_have_their_own_handles(write_raster):
    values = ramp(10, 64, 64)
    path = write_raster('a.tif', values, S2_NAMES)
    reader = RasterReader(path, 's2_l2a')
    own = id(open_raster(path))

    def read(row):
        return id(open_raster(path)), reader.read((row, 0, 4, 64))[0]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(read, range(0, 60, 4)))
    for row, (handle, block) in zip(range(0, 60, 4), results, strict=True):
        assert handle != own
        np.testing.assert_array_equal(block, values[:, row:row + 4])


class Rows(Dataset):
    """Reads one row of a raster that was open before the workers forked."""

    def __init__(self, reader):
        self.reader = reader

    def __len__(self):
        return self.reader.shape[0]

    def __getitem__(self, row):
        return self.reader.read((row, 0, 1, self.reader.shape[1]))[0]


def test_forked_workers_read_a_file_opened_before(write_raster):
    values = ramp(10, 48, 96)
    path = write_raster('a.tif', values, S2_NAMES, compress='deflate',
                        tiled=True, blockxsize=16, blockysize=16)
    reader = RasterReader(path, 's2_l2a')
    reader.read((0, 0, 8, 8))
    loader = DataLoader(Rows(reader), batch_size=4, num_workers=2,
                        multiprocessing_context='fork')
    for _ in range(2):
        rows = np.concatenate([batch.numpy() for batch in loader])
        np.testing.assert_array_equal(rows[:, :, 0],
                                      values.transpose(1, 0, 2))
    np.testing.assert_array_equal(reader.read()[0], values)


def test_pickles(write_raster):
    path = write_raster('a.tif', ramp(10), S2_NAMES)
    reader = RasterReader(path, 's2_l2a', nodata=0)
    before, _ = reader.read()
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.read()[0], before)
    assert again.nodata == 0 and 's2_l2a' in repr(again)


def test_without_a_sensor_reads_what_is_there(write_raster):
    values = ramp(5, dtype='float32')
    path = write_raster('a.tif', values)
    read, valid = RasterReader(path).read()
    np.testing.assert_array_equal(read, values)
    assert valid.all()


def test_read_band_keeps_the_data_type(write_raster):
    values = np.array([[[0, 1], [-1, 7]]], np.int16)
    path = write_raster('a.tif', values, nodata=7)
    read, valid = read_band(path)
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read, values[0])
    np.testing.assert_array_equal(valid, [[True, True], [True, False]])


@pytest.mark.parametrize('dtype, most', [('uint16', 255), ('float32', 99.5),
                                         ('float32', 0.9)])
def test_refuses_a_file_as_dark_as_8_bits(write_raster, dtype, most):
    values = np.linspace(1e-3, most, 10 * 64 * 64).reshape(10, 64, 64)
    values = np.maximum(values, 1 if dtype == 'uint16' else 0).astype(dtype)
    path = write_raster('a.tif', values, S2_NAMES)
    with pytest.raises(RasterContractError) as error:
        RasterReader(path, 's2_l2a').check_contract()
    message = str(error.value)
    assert message.startswith(f'{path}: ') and '\n' not in message
    for word in ('8 bits', 'percent', 'scale=100 ', 'scale=1.0',
                 '4096 measured'):
        assert word in message
    for options in (dict(scale=1.0), dict(scale=100), dict(check=False)):
        RasterReader(path, 's2_l2a', **options).check_contract()


def test_dark_water_is_judged_with_the_whole_file(write_raster):
    values = np.full((10, 600, 600), 120, np.uint16)
    values[7, 0, 599] = 256  # a single pixel of land, in the first block row
    path = write_raster('a.tif', values, S2_NAMES)
    reader = RasterReader(path, 's2_l2a').check_contract()
    read, valid = reader.read((100, 100, 256, 256))
    assert valid.all() and read.max() == 120
    # Too few measured pixels tell nothing.
    values[:, 30:] = 0
    values[7, 0, 599] = 120
    values[:, :, 30:] = 0
    few = write_raster('few.tif', values, S2_NAMES)
    assert RasterReader(few, 's2_l2a').check_contract().read()[1].sum() == 900


def test_implausible_pixels_are_told_once_a_file(write_raster, monkeypatch):
    told = []
    monkeypatch.setattr(reader_module, 'print_log',
                        lambda message, *_: told.append(message))
    values = np.full((10, 40, 40), 2000, np.uint16)
    values[2, :2, :10] = 40000
    path = write_raster('a.tif', values, S2_NAMES)
    reader = RasterReader(path, 's2_l2a')
    for _ in range(2):
        assert reader.read()[1].sum() == 1580
    assert len(told) == 1 and told[0].startswith(f'{path}: 20 of 1600 ')
    for word in ('1.25 %', '40000 to 40000', '-1000 to 28000', 'nodata='):
        assert word in told[0]
    RasterReader(write_raster('b.tif', values[:, 2:], S2_NAMES),
                 's2_l2a').read()
    assert len(told) == 1


def test_a_read_asks_the_file_system_once(write_raster, monkeypatch):
    path = write_raster('a.tif', ramp(10), S2_NAMES, nodata=0)
    reader = RasterReader(path, 's2_l2a')
    reader.read()
    asked, original = [], os.stat

    def count(name, *args, **kwargs):
        asked.append(os.fspath(name) if not isinstance(name, int) else name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(os, 'stat', count)
    reader.read((0, 0, 4, 4))
    assert asked.count(path) == 1


@pytest.mark.parametrize('setting', [None, 'FALSE', 'EMPTY_DIR'])
def test_files_beside_the_raster_are_found(tmp_path, monkeypatch, setting):
    """Masks and world files belong to an image; folders are not listed."""
    if setting is not None:
        monkeypatch.setenv('GDAL_DISABLE_READDIR_ON_OPEN', setting)
    path = tmp_path / 'a.png'
    pixels = np.full((3, 4, 4), 9, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with rasterio.open(path, 'w', driver='PNG', count=3, height=4,
                           width=4, dtype='uint8') as file:
            file.write(pixels)
    (tmp_path / 'a.pgw').write_text('2\n0\n0\n-2\n101\n199\n')
    transform = RasterReader(path, 'hr_rgb').transform
    # The user's own setting wins: EMPTY_DIR means to look for no such file.
    assert transform.is_identity == (setting == 'EMPTY_DIR')
    if setting is None:
        assert (transform.a, transform.c, transform.f) == (2, 100, 200)


def test_a_small_file_of_fractions_is_refused_when_it_is_opened(write_raster):
    values = np.random.default_rng(0).uniform(0.01, 0.4, (10, 16, 16))
    path = write_raster('a.tif', values.astype(np.float32), S2_NAMES)
    with pytest.raises(RasterContractError, match='scale=10000'):
        RasterReader(path, 's2_l2a').check_contract()
    RasterReader(path, 's2_l2a', scale=10000).check_contract()
