# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mmskysense.datasets.transforms import (
    IgnoreInvalidPixels,
    LoadGeoTIFF,
    LoadGeoTIFFAnnotations,
)
from mmskysense.raster.band_contract import RasterContractError
from mmskysense.registry import TRANSFORMS
from mmskysense.sensors import get_sensor

RGB = get_sensor('hr_rgb')
S2 = get_sensor('s2_l2a')


def picture(write_raster, name='image.tif', side=32, hole=True):
    values = np.random.default_rng(0).integers(1, 255, (3, side, side),
                                               dtype=np.uint8)
    if hole:
        values[:, 4:10, 6:14] = 0
    return write_raster(name, values, nodata=0), values


def test_eight_bit_stays_light(write_raster):
    path, values = picture(write_raster)
    results = LoadGeoTIFF().transform(dict(img_path=path))
    assert results['img'].dtype == np.uint8
    assert results['img'].shape == (32, 32, 3)
    assert results['img_shape'] == results['ori_shape'] == (32, 32)
    seen = results['valid_mask'] == 1
    assert (~seen).sum() == 48
    np.testing.assert_array_equal(results['img'][seen],
                                  values.transpose(1, 2, 0)[seen])
    # Unmeasured pixels are the mean, which normalises to nothing.
    np.testing.assert_array_equal(results['img'][~seen],
                                  np.rint([RGB.mean] * 48))
    exact = LoadGeoTIFF(to_float32=True).transform(dict(img_path=path))
    assert exact['img'].dtype == np.float32
    np.testing.assert_allclose(exact['img'][~seen], [RGB.mean] * 48)


def test_reflectance_is_float(write_raster):
    values = np.full((10, 8, 8), 1200, np.uint16)
    values[3, 0, 0] = 0
    path = write_raster('a.tif', values, S2.band_names[::-1])
    results = LoadGeoTIFF('s2_l2a').transform(dict(img_path=path))
    assert results['img'].dtype == np.float32
    np.testing.assert_allclose(results['img'][0, 0], S2.mean)


def test_refuses_empty_image(write_raster):
    path = write_raster('a.tif', np.zeros((3, 8, 8), np.uint8), nodata=0)
    with pytest.raises(RasterContractError, match='only nodata'):
        LoadGeoTIFF().transform(dict(img_path=path))
    results = LoadGeoTIFF(allow_empty=True).transform(dict(img_path=path))
    assert not results['valid_mask'].any()


@pytest.mark.parametrize('dtype, stored, options, expected', [
    ('uint8', [0, 1, 255, 3], {}, [0, 1, 255, 3]),
    ('int16', [-1, 0, 1, 2], {}, [255, 0, 1, 2]),
    ('int16', [-9, 0, 1, 2], dict(nodata=-9), [255, 0, 1, 2]),
    ('float32', [np.nan, 0, 1, 2], {}, [255, 0, 1, 2]),
    ('uint8', [0, 1, 2, 255], dict(reduce_zero_label=True),
     [255, 0, 1, 255]),
    ('uint8', [10, 20, 30, 255], dict(label_map={10: 0, 20: 1, 30: 255}),
     [0, 1, 255, 255]),
    # A map that swaps must not map twice.
    ('uint8', [0, 1, 2, 3], dict(label_map={0: 1, 1: 0}), [1, 0, 2, 3]),
])
def test_labels(write_raster, dtype, stored, options, expected):
    path = write_raster('label.tif',
                        np.array(stored, dtype).reshape(1, 2, 2))
    results = LoadGeoTIFFAnnotations(num_classes=4, **options).transform(
        dict(seg_map_path=path, ori_shape=(2, 2), seg_fields=[]))
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['gt_seg_map'].ravel().tolist() == expected
    assert results['seg_fields'] == ['gt_seg_map']


def test_label_options_of_the_dataset(write_raster):
    path = write_raster('label.tif', np.array([[[0, 1], [2, 5]]], np.uint8),
                        nodata=5)
    results = LoadGeoTIFFAnnotations().transform(
        dict(seg_map_path=path, reduce_zero_label=True, num_classes=2))
    assert results['gt_seg_map'].tolist() == [[255, 0], [1, 255]]


@pytest.mark.parametrize('stored, options, words', [
    (np.array([[[0, 7]]], np.uint8), {}, 'ids 0..2 or 255.*found 7'),
    (np.array([[[0, -3]]], np.int16), {}, 'found -3'),
    (np.array([[[0, 9]]], np.uint8), dict(reduce_zero_label=True),
     'found 9'),
    (np.array([[[0, 0.5]]], np.float32), {}, 'fractions such as 0.5'),
    (np.zeros((3, 1, 2), np.uint8), {}, 'found 3 bands'),
    (np.zeros((1, 2, 2), np.uint8), {}, r'size of image.tif \(1, 2\)'),
])
def test_refuses_labels(write_raster, stored, options, words):
    path = write_raster('label.tif', stored)
    load = LoadGeoTIFFAnnotations(num_classes=3, **options)
    with pytest.raises(RasterContractError, match=words) as error:
        load.transform(
            dict(seg_map_path=path, img_path='image.tif', ori_shape=(1, 2)))
    assert str(error.value).startswith(path)


@pytest.mark.parametrize('place, words', [
    (dict(crs='EPSG:32632'), 'CRS of .*image.tif.*EPSG:32631.*EPSG:32632'),
    (dict(origin=(500010.0, 5400000.0)), 'bounds of .*image.tif'),
    (dict(pixel=20.0), 'bounds of .*image.tif'),
])
def test_refuses_label_of_other_ground(write_raster, place, words):
    image, _ = picture(write_raster)
    label = np.zeros((1, 32, 32), np.uint8)
    path = write_raster('label.tif', label, **place)
    results = LoadGeoTIFF().transform(dict(img_path=image, seg_map_path=path))
    with pytest.raises(RasterContractError, match=words) as error:
        LoadGeoTIFFAnnotations().transform(results)
    message = str(error.value)
    assert message.startswith(path) and '\n' not in message
    # Without a coordinate reference system nothing is known.
    results['seg_map_path'] = write_raster('png_like.tif', label, crs=None)
    LoadGeoTIFFAnnotations().transform(results)


def test_padding_of_the_mask_is_not_measured():
    results = dict(valid_mask=np.array([[0, 1, 255]], np.uint8),
                   gt_seg_map=np.array([[2, 2, 2]], np.uint8))
    labels = IgnoreInvalidPixels().transform(results)['gt_seg_map']
    assert labels.tolist() == [[255, 2, 255]]


def test_ignore_needs_one_grid():
    with pytest.raises(ValueError, match='before any resize'):
        IgnoreInvalidPixels().transform(
            dict(valid_mask=np.ones((2, 2)), gt_seg_map=np.ones((3, 3))))


GEOMETRY = [
    dict(type='RandomCrop', crop_size=(24, 24)),
    dict(type='RandomFlip', prob=1.0),
    dict(type='RandomFlip', prob=1.0, direction='vertical'),
    dict(type='RandomResize', scale=(48, 48), ratio_range=(1.0, 2.0),
         keep_ratio=True),
    dict(type='RandomRotate', prob=1.0, degree=30),
    dict(type='PhotoMetricDistortion'),
]


@pytest.mark.parametrize('before', [True, False])
@pytest.mark.parametrize('geometry', [[g] for g in GEOMETRY] + [GEOMETRY],
                         ids=lambda g: '-'.join(t['type'] for t in g))
def test_validity_travels_with_mmseg(write_raster, geometry, before):
    """The same labels are ignored wherever the transform stands."""
    pytest.importorskip('mmseg')
    from mmseg.utils import register_all_modules
    register_all_modules(False)
    init_default_scope('mmseg')
    image, values = picture(write_raster)
    # The label marks the hole with a class of its own.
    label = (values == 0).all(axis=0)[None].astype(np.uint8)
    results = dict(img_path=image, seg_fields=[], label_map=None,
                   reduce_zero_label=False,
                   seg_map_path=write_raster('label.tif', label))
    ignore = dict(type='mmskysense.IgnoreInvalidPixels')
    steps = [dict(type='mmskysense.LoadGeoTIFF'),
             dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=2)]
    steps += [ignore, *geometry] if before else [*geometry, ignore]
    np.random.seed(3)
    for step in steps:
        results = TRANSFORMS.build(step).transform(results)
    labels, mask = results['gt_seg_map'], results['valid_mask']
    assert labels.shape == mask.shape == results['img'].shape[:2]
    # Class 1 lay only on unmeasured ground: it must be gone from the loss.
    assert set(np.unique(labels)) == {0, 255}
    assert 0 < (labels == 255).mean() < 0.7
    np.testing.assert_array_equal(labels == 255, mask != 1)
