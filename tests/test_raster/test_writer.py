# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import os
import resource

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from mmskysense.raster import MapWriter, ProbabilityWriter, check_output
from mmskysense.version import __version__

NAMES = ['water', 'forest', 'road, paved']
PALETTE = [(0, 0, 200), (0, 120, 0), (90, 90, 90)]
NORTH_UP = Affine(0.5, 0, 500000, 0, -0.5, 4600000)
ROTATED = Affine(1.7, 1.0, 100, 1.0, -1.7, 200)


def _write(path, classes, **options):
    with MapWriter(path, *classes.shape, NAMES, PALETTE, **options) as writer:
        for row in range(0, len(classes), 100):
            writer.write(row, classes[row:row + 100])


def _classes(height=130, width=70):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, (height, width), dtype=np.uint8)
    classes[:5] = 255
    return classes


@pytest.mark.parametrize('crs', [None, 'EPSG:32631', 'EPSG:4326'])
@pytest.mark.parametrize('transform', [NORTH_UP, ROTATED])
def test_georeference_and_pixels_come_back(tmp_path, crs, transform):
    classes = _classes()
    crs = CRS.from_user_input(crs) if crs else None
    _write(tmp_path / 'map.tif', classes, crs=crs, transform=transform)
    with rasterio.open(tmp_path / 'map.tif') as dataset:
        assert dataset.crs == crs
        assert tuple(dataset.transform) == tuple(transform)
        assert dataset.nodata == 255
        np.testing.assert_array_equal(dataset.read(1), classes)
        np.testing.assert_array_equal(
            dataset.read_masks(1) > 0, classes != 255)
    assert os.listdir(tmp_path) == ['map.tif']


@pytest.mark.parametrize('transform', [None, Affine.identity()])
def test_plain_pixels_stay_without_georeference(tmp_path, transform):
    _write(tmp_path / 'map.tif', _classes(), transform=transform)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        dataset = rasterio.open(tmp_path / 'map.tif')
    assert dataset.crs is None
    assert dataset.transform.is_identity
    dataset.close()


def test_names_colours_and_origin_are_written(tmp_path):
    _write(tmp_path / 'map.tif', _classes(), transform=NORTH_UP,
           tags=dict(CONFIG='a.py', OVERLAP=0.5))
    with rasterio.open(tmp_path / 'map.tif') as dataset:
        tags, colours = dataset.tags(), dataset.colormap(1)
        assert dataset.descriptions == ('class', )
    assert [tags[f'CLASS_{i}'] for i in range(3)] == NAMES
    assert tags['NUM_CLASSES'] == '3'
    assert tags['CONFIG'] == 'a.py'
    assert tags['OVERLAP'] == '0.5'
    assert tags['TIFFTAG_SOFTWARE'] == f'mmskysense {__version__}'
    assert [colours[i][:3] for i in range(3)] == PALETTE


def test_layout_is_cloud_optimised(tmp_path):
    # Large areas of one class: an overview must show the class of most
    # pixels, never a mean of class numbers.
    classes = np.zeros((1100, 1300), np.uint8)
    classes[:, 650:] = 2
    _write(tmp_path / 'map.tif', classes, transform=NORTH_UP)
    with rasterio.open(tmp_path / 'map.tif') as dataset:
        structure = dataset.tags(ns='IMAGE_STRUCTURE')
        assert structure['LAYOUT'] == 'COG'
        assert structure['COMPRESSION'] == 'DEFLATE'
        assert dataset.profile['tiled']
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.overviews(1) == [2, 4]
        small = dataset.read(1, out_shape=(275, 325))
    assert set(np.unique(small)) == {0, 2}


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize('older', [False, True])
def test_an_error_leaves_nothing_and_spares_the_older_file(
        tmp_path, error, older):
    path = tmp_path / 'map.tif'
    if older:
        path.write_bytes(b'older')
    with pytest.raises(error), MapWriter(path, 130, 70, NAMES,
                                         PALETTE) as writer:
        writer.write(0, _classes()[:100])
        # The partial file exists, under another name.
        assert path.exists() == older
        assert len(os.listdir(tmp_path)) == 1 + older
        raise error
    assert os.listdir(tmp_path) == (['map.tif'] if older else [])
    if older:
        assert path.read_bytes() == b'older'


def test_an_error_while_finishing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise rasterio.errors.RasterioIOError('No space left on device')

    monkeypatch.setattr(rasterio.shutil, 'copy', fail)
    with pytest.raises(OSError, match=r'map\.tif: cannot be written.*space'):
        _write(tmp_path / 'map.tif', _classes())
    assert os.listdir(tmp_path) == []


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / 'map.tif'
    path.write_bytes(b'older')
    _write(path, _classes(), transform=NORTH_UP)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), _classes())


@pytest.mark.parametrize('dtype,steps', [('uint8', 254), ('uint16', 65534)])
def test_probabilities_are_scaled_integers(tmp_path, dtype, steps):
    rng = np.random.default_rng(0)
    soft = rng.dirichlet([1, 1, 1], (40, 30)).transpose(2, 0, 1)
    valid = rng.random((40, 30)) > 0.3
    path = tmp_path / 'soft.tif'
    with ProbabilityWriter(path, 40, 30, NAMES, transform=NORTH_UP,
                           dtype=dtype) as writer:
        writer.write(0, ProbabilityWriter.encode(soft, valid, dtype))
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == tuple(NAMES)
        assert dataset.dtypes == (dtype, ) * 3
        read = dataset.read(masked=True) * dataset.scales[0]
        assert dataset.colorinterp[0].name == 'gray'
    np.testing.assert_array_equal(~read.mask[0], valid)
    difference = abs(read.data[:, valid] - soft[:, valid])
    assert difference.max() <= 0.5 / steps + 1e-9


@pytest.mark.parametrize('names,palette', [
    (['a'] * 256, [(0, 0, 0)] * 256), (NAMES, PALETTE[:2])])
def test_classes_that_do_not_fit_are_refused(tmp_path, names, palette):
    with pytest.raises(ValueError, match='at most 255 classes with one'):
        MapWriter(tmp_path / 'map.tif', 10, 10, names, palette)


@pytest.mark.parametrize('rows', [
    np.zeros((10, 71), np.uint8), np.zeros((10, 70), np.int64)])
def test_rows_that_do_not_fit_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match='expected uint8 rows of shape'), \
            MapWriter(tmp_path / 'map.tif', 10, 70, NAMES, PALETTE) as writer:
        writer.write(0, rows)
    assert os.listdir(tmp_path) == []


def test_unusable_outputs_are_refused(tmp_path):
    source = tmp_path / 'in.tif'
    source.write_bytes(b'x')
    (tmp_path / 'link.tif').symlink_to(source)
    with pytest.raises(FileNotFoundError, match='mkdir -p'):
        check_output(tmp_path / 'absent' / 'map.tif')
    with pytest.raises(FileNotFoundError, match='found a file'):
        check_output(source / 'map.tif')
    with pytest.raises(ValueError, match='found a directory'):
        check_output(tmp_path)
    for name in ('in.tif', 'link.tif'):
        with pytest.raises(ValueError, match='also an input'):
            check_output(tmp_path / name, [source])
    check_output(tmp_path / 'map.tif', [source])


def test_a_read_only_directory_is_refused(tmp_path, monkeypatch):
    # Through os.access, since the superuser may write anywhere.
    monkeypatch.setattr(os, 'access', lambda *_: False)
    with pytest.raises(PermissionError, match='writable directory'):
        check_output(tmp_path / 'map.tif')


def test_a_map_is_cloud_optimised_in_the_eyes_of_its_validator(tmp_path):
    rio_cogeo = pytest.importorskip('rio_cogeo')
    _write(tmp_path / 'map.tif', np.zeros((1100, 1300), np.uint8),
           transform=NORTH_UP, crs='EPSG:32631')
    valid, errors, _ = rio_cogeo.cog_validate(tmp_path / 'map.tif',
                                              strict=True)
    assert valid and not errors


@pytest.mark.parametrize('room', [
    0, 1000, 300_000, 420_000, 450_000, 480_000, 520_000])
def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path, room):
    # The limits end the file in its header, its tiles, its directory, on
    # closing and in the copy; GDAL says nothing of the last one.
    noise = np.random.default_rng(0).integers(
        0, 255, (1, 700, 600), dtype=np.uint8)
    path = tmp_path / 'soft.tif'
    path.write_bytes(b'earlier')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match=r'soft\.tif: cannot be written .*'
                           'check free space'), \
                ProbabilityWriter(path, 700, 600, ['a']) as writer:
            for row in range(0, 700, 100):
                writer.write(row, noise[:, row:row + 100])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ['soft.tif']
    assert path.read_bytes() == b'earlier'
