# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from mmskysense.raster.raster_cache import RasterCache
from mmskysense.raster.reader import RasterReader
from mmskysense.sensors import get_sensor

HR, S2 = get_sensor('hr_rgb'), get_sensor('s2_l2a')


@pytest.fixture
def rasters(write_raster):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (3, 8, 8), dtype=np.uint8)
    rgb[:, 2, 3] = 0
    optical = rng.integers(300, 9000, (10, 4, 4)).astype(np.float64) + 0.125
    return {
        'hr_rgb': (write_raster('hr.tif', rgb, nodata=0), {}),
        's2_l2a': (write_raster('s2.tif', optical, S2.band_names), {}),
        'scaled': (write_raster('scaled.tif', rgb), dict(scale=0.3)),
    }


@pytest.mark.parametrize('name', ['hr_rgb', 's2_l2a', 'scaled'])
def test_kept_pixels_equal_the_readers(rasters, name):
    path, options = rasters[name]
    sensor = S2 if name == 's2_l2a' else HR
    cache = RasterCache(10**6)
    wanted = RasterReader(path, sensor, **options)
    for _ in range(3):
        raster = cache.get(path, sensor, options)
        for found, known in zip(raster.read(), wanted.read(), strict=True):
            np.testing.assert_array_equal(found, known)
            assert found.dtype == known.dtype
        for what in ('path', 'grid', 'shape', 'crs', 'transform'):
            assert getattr(raster, what) == getattr(wanted, what)
        # What a caller does to its pixels is not kept.
        found[...] = 0
    assert len(cache) == 1
    assert not isinstance(raster, RasterReader)


def test_does_not_open_again(rasters, monkeypatch):
    path, options = rasters['hr_rgb']
    cache = RasterCache(10**6)
    cache.get(path, HR, options).read()
    monkeypatch.setattr('mmskysense.raster.reader.open_raster', None)
    assert cache.get(path, HR, options).read()[0].shape == (3, 8, 8)


def test_stays_within_its_bound(rasters):
    path, options = rasters['s2_l2a']  # 10 * 4 * 4 float32: 640 bytes
    cache = RasterCache(639)
    assert cache.get(path, S2, options).read()[1].all()
    assert len(cache) == cache.num_bytes == 0
    small, options = rasters['hr_rgb']  # 192 bytes and 64 of validity
    cache.get(small, HR, options).read()
    assert (len(cache), cache.num_bytes) == (1, 256)
    # A part of a raster is no raster.
    other = RasterCache(10**6)
    other.get(small, HR, options).read((0, 0, 4, 4))
    assert len(other) == 0
    with pytest.raises(ValueError, match='at least 0, found -1'):
        RasterCache(-1)


def test_off_by_default(rasters):
    path, options = rasters['hr_rgb']
    cache = RasterCache()
    cache.get(path, HR, options).read()
    assert isinstance(cache.get(path, HR, options), RasterReader)
    assert len(cache) == 0


def test_sees_a_rewritten_file_and_travels_empty(rasters, write_raster):
    path, options = rasters['hr_rgb']
    cache = RasterCache(10**6)
    cache.get(path, HR, options).read()
    write_raster('hr.tif', np.full((3, 8, 8), 7, np.uint8))
    os.utime(path, ns=(1, 1))
    assert (cache.get(path, HR, options).read()[0] == 7).all()
    sent = pickle.loads(pickle.dumps(cache))
    assert len(sent) == sent.num_bytes == 0 and sent.max_bytes == 10**6


@pytest.mark.parametrize('wanted', [None, '17'])
def test_blocks_that_gdal_keeps_are_bounded(monkeypatch, wanted):
    # A fresh process: a cache that was used keeps its limit.
    code = ('from mmskysense.raster.open_files import limit_block_cache\n'
            'limit_block_cache(32)\n'
            'from rasterio.env import get_gdal_config\n'
            'print(get_gdal_config("GDAL_CACHEMAX"))')
    monkeypatch.delenv('GDAL_CACHEMAX', raising=False)
    if wanted:
        monkeypatch.setenv('GDAL_CACHEMAX', wanted)
    printed = subprocess.run([sys.executable, '-c', code], text=True,
                             check=True, capture_output=True).stdout
    assert int(printed) in (int(wanted or 32), int(wanted or 32) << 20)
