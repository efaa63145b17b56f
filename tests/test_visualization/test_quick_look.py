# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import os

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from mmskysense.raster import MapWriter, RasterReader
from mmskysense.visualization import save_quick_look, stretch

PALETTE = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]


def _write(tmp_path, height=60, width=80, count=3, names=('a', 'b', 'c')):
    transform = Affine(0.5, 0, 5e5, 0, -0.5, 46e5)
    pixels = np.random.default_rng(0).integers(
        1, 256, (count, height, width), dtype=np.uint8)
    with rasterio.open(
            tmp_path / 'scene.tif', 'w', driver='GTiff', height=height,
            width=width, count=count, dtype='uint8', nodata=0,
            transform=transform) as dataset:
        dataset.write(pixels)
    classes = np.zeros((height, width), np.uint8)
    classes[:, width // 2:] = 1
    classes[:height // 4] = 255
    palette = (PALETTE * 20)[:len(names)]
    with MapWriter(tmp_path / 'map.tif', height, width, names, palette,
                   transform=transform) as writer:
        writer.write(0, classes)
    return RasterReader(tmp_path / 'scene.tif')


def _share(picture, colour):
    return (np.asarray(picture)[..., :3] == colour).all(axis=-1).mean()


@pytest.mark.parametrize('size', [(60, 80), (1500, 900), (3, 200), (1, 1)])
def test_the_picture_shows_the_map_in_its_colours(tmp_path, size):
    reader = _write(tmp_path, *size)
    save_quick_look(reader, tmp_path / 'map.tif', tmp_path / 'look.png',
                    max_side=500)
    assert sorted(os.listdir(tmp_path)) == ['look.png', 'map.tif',
                                            'scene.tif']
    with Image.open(tmp_path / 'look.png') as picture:
        assert max(picture.size) < 4000
        if size == (60, 80):
            # Equal halves of two classes; the third only in the legend.
            first, second = (_share(picture, PALETTE[i]) for i in (0, 1))
            assert first > 0.05
            assert second == pytest.approx(first, rel=0.1)
            assert _share(picture, PALETTE[2]) < 0.01
            assert _share(picture, (235, 235, 235)) > 0.02


@pytest.mark.parametrize('count', [1, 2, 5])
def test_any_number_of_bands_can_be_shown(tmp_path, count):
    reader = _write(tmp_path, count=count)
    path = save_quick_look(reader, tmp_path / 'map.tif',
                           tmp_path / 'look.png')
    assert path.stat().st_size > 0


def test_many_classes_have_a_short_legend(tmp_path):
    reader = _write(tmp_path, names=[f'class {i}' for i in range(40)])
    save_quick_look(reader, tmp_path / 'map.tif', tmp_path / 'look.png')
    with Image.open(tmp_path / 'look.png') as picture:
        assert max(picture.size) < 4000


def test_a_failure_leaves_no_picture(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def fail(*args, **kwargs):
        raise OSError('No space left on device')

    reader = _write(tmp_path)
    monkeypatch.setattr(Figure, 'savefig', fail)
    with pytest.raises(OSError, match='No space'):
        save_quick_look(reader, tmp_path / 'map.tif', tmp_path / 'look.png')
    assert sorted(os.listdir(tmp_path)) == ['map.tif', 'scene.tif']


def test_stretch_ignores_what_was_not_measured():
    image = np.zeros((10, 10, 3), np.float32)
    image[..., :] = np.linspace(100, 200, 100).reshape(10, 10, 1)
    valid = np.ones((10, 10), dtype=bool)
    valid[0] = False
    image[0] = -1e9
    shown = stretch(image, valid, (0, 100))
    assert shown.dtype == np.uint8
    assert (shown[0] == 235).all()
    assert shown[1, 0, 0] == 0
    assert shown[-1, -1, 0] == 255


@pytest.mark.parametrize('measured', [False, True])
def test_stretch_of_nothing_and_of_one_value(measured):
    shown = stretch(np.full((4, 4, 3), 7.0), np.full((4, 4), measured))
    assert (shown == (0 if measured else 235)).all()
