# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine

from mmskysense.apis import MapInferencer
from mmskysense.apis.segmentor import default_window
from mmskysense.raster import RasterContractError
from mmskysense.sensors import get_sensor

MEAN = np.array([123.675, 116.28, 103.53]).reshape(3, 1, 1)
STD = np.array([58.395, 57.12, 57.375]).reshape(3, 1, 1)


def _untiled(checkpoint, pixels):
    """Logits of the 1x1 segmentor for the whole scene at once."""
    weights = torch.load(checkpoint, weights_only=False)['state_dict']
    kernel = weights['decode_head.conv_seg.weight'].double().numpy()[..., 0, 0]
    bias = weights['decode_head.conv_seg.bias'].double().numpy()
    return np.einsum('oc,chw->ohw', kernel,
                     (pixels - MEAN) / STD) + bias[:, None, None]


def _softmax(logits):
    exponential = np.exp(logits - logits.max(axis=0))
    return exponential / exponential.sum(axis=0)


def _read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize('overlap', [0, 0.3, 0.5, 0.95])
@pytest.mark.parametrize('size', [(130, 101), (48, 40), (10, 300), (5, 3)])
def test_tiled_map_equals_the_untiled(make_scene, segmentor, tmp_path,
                                      overlap, size):
    pixels, valid = make_scene(
        tmp_path / 'scene.tif', *size, nodata=size != (5, 3))
    summary = MapInferencer(*segmentor, device='cpu').predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif', overlap=overlap,
        batch_size=3, probabilities=tmp_path / 'soft.tif')
    logits = _untiled(segmentor[1], pixels)
    expected = np.where(valid, logits.argmax(axis=0), 255)
    classes = _read(tmp_path / 'map.tif')
    np.testing.assert_array_equal(classes, expected)
    with rasterio.open(tmp_path / 'soft.tif') as dataset:
        soft = dataset.read()
    assert (soft[:, ~valid] == 255).all()
    assert abs(soft / 254 - _softmax(logits))[:, valid].max() < 0.51 / 254
    assert summary.pixel_counts == tuple(
        np.bincount(expected[valid], minlength=3))
    assert summary.nodata_pixels == (~valid).sum()
    assert sum(summary.shares) == pytest.approx(1)


@pytest.mark.parametrize('transform,crs', [
    (Affine(0.5, 0, 5e5, 0, -0.5, 46e5), 'EPSG:32631'),
    (Affine(1.7, 1.0, 100, 1.0, -1.7, 200), 'EPSG:3857'),
    (Affine(1.7, 1.0, 100, 1.0, -1.7, 200), None)])
def test_the_map_lies_where_the_scene_lies(make_scene, segmentor, tmp_path,
                                           transform, crs):
    make_scene(tmp_path / 'scene.tif', transform=transform, crs=crs)
    MapInferencer(*segmentor, device='cpu').predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'scene.tif') as scene, \
            rasterio.open(tmp_path / 'map.tif') as result:
        assert result.crs == scene.crs
        assert tuple(result.transform) == tuple(transform)
        assert result.shape == scene.shape
        tags = result.tags()
    content = Path(segmentor[1]).read_bytes()
    assert tags['CHECKPOINT_SHA256'] == hashlib.sha256(content).hexdigest()
    assert tags['CONFIG'] == 'config.py'
    assert tags['WINDOW'] == '48x40'
    assert tags['CLASS_1'] == 'forest'


@pytest.mark.parametrize('loader,bgr_to_rgb', [
    ("type='LoadImageFromFile'", True),
    ("type='mmskysense.LoadGeoTIFF'", False)])
def test_bands_reach_the_model_in_its_own_order(
        make_scene, write_segmentor, tmp_path, loader, bgr_to_rgb):
    # A stock pipeline loads B, G, R and its preprocessor turns them round.
    paths = write_segmentor(tmp_path, loader, bgr_to_rgb)
    pixels, valid = make_scene(tmp_path / 'scene.tif')
    MapInferencer(*paths, device='cpu').predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif')
    logits = _untiled(paths[1], pixels)
    np.testing.assert_array_equal(
        _read(tmp_path / 'map.tif'),
        np.where(valid, logits.argmax(axis=0), 255))


def test_a_binary_segmentor_uses_its_threshold(make_scene, write_segmentor,
                                               tmp_path):
    paths = write_segmentor(
        tmp_path, num_classes=2, head='dict(out_channels=1, threshold=0.7)',
        meta=dict(classes=['ground', 'water']))
    pixels, valid = make_scene(tmp_path / 'scene.tif')
    MapInferencer(*paths, device='cpu').predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif',
        probabilities=tmp_path / 'soft.tif')
    probability = 1 / (1 + np.exp(-_untiled(paths[1], pixels)[0]))
    np.testing.assert_array_equal(
        _read(tmp_path / 'map.tif'), np.where(valid, probability > 0.7, 255))
    with rasterio.open(tmp_path / 'soft.tif') as dataset:
        assert dataset.descriptions == ('ground', 'water')
        soft = dataset.read(2)
    assert abs(soft / 254 - probability)[valid].max() < 0.51 / 254


def test_windows_are_batched_and_empty_ones_never_reach_the_model(
        make_scene, segmentor, tmp_path):
    pixels, _ = make_scene(tmp_path / 'scene.tif', 96, 160, nodata=False)
    pixels[:, :48, :80] = 0  # the first two windows of the grid
    with rasterio.open(tmp_path / 'scene.tif', 'r+') as dataset:
        dataset.nodata = 0
        dataset.write(pixels)
    inferencer = MapInferencer(*segmentor, device='cpu')
    model, batches = inferencer.segmentor.model, []
    original = model.encode_decode

    def record(inputs, metas):
        batches.append(tuple(inputs.shape))
        return original(inputs, metas)

    model.encode_decode = record
    summary = inferencer.predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif', overlap=0, batch_size=4)
    assert (summary.windows, summary.skipped_windows) == (8, 2)
    assert batches == [(4, 3, 48, 40), (2, 3, 48, 40)]


@pytest.mark.parametrize('value', [0, 255])
def test_a_scene_of_nodata_gives_a_map_of_nodata_and_a_warning(
        segmentor, tmp_path, value):
    with rasterio.open(
            tmp_path / 'scene.tif', 'w', driver='GTiff', height=60, width=60,
            count=3, dtype='uint8', nodata=value) as dataset:
        dataset.write(np.full((3, 60, 60), value, np.uint8))
    with pytest.warns(UserWarning, match='no pixel was measured'):
        summary = MapInferencer(*segmentor, device='cpu').predict_raster(
            tmp_path / 'scene.tif', tmp_path / 'map.tif')
    assert (_read(tmp_path / 'map.tif') == 255).all()
    assert summary.shares == (0, 0, 0)
    assert summary.nodata_pixels == 3600


SKYSENSE = '''
default_scope = 'mmseg'
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='s2_l2a',
        pad_size_divisor=16),
    backbone=dict(
        type='mmskysense.SkySenseV2', sensor='s2_l2a',
        arch=dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8)),
    decode_head=dict(
        type='FCNHead', in_channels=128, channels=8, num_convs=1,
        num_classes=3, concat_input=False, norm_cfg=dict(type='BN')))
crop_size = (20, 24)
test_pipeline = [dict(type='mmskysense.LoadGeoTIFF', sensor='s2_l2a')]
'''


def test_our_encoder_maps_ten_bands_and_never_sees_nodata(
        make_scene, tmp_path):
    # 20 x 24 is no multiple of 16: the preprocessor pads, the map is cropped.
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    (tmp_path / 'config.py').write_text(SKYSENSE)
    model = MODELS.build(Config.fromfile(tmp_path / 'config.py').model)
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    pixels, valid = make_scene(
        tmp_path / 'scene.tif', 50, 40, count=10, dtype='uint16')
    # Reflectance x 10000, not a picture of 8 bits; nodata, 0, stays 0.
    with rasterio.open(tmp_path / 'scene.tif', 'r+') as file:
        file.write(file.read() * 10)
    pixels = pixels * 10.0
    inferencer = MapInferencer(
        tmp_path / 'config.py', tmp_path / 'weights.pth', device='cpu')
    with pytest.warns(UserWarning, match='names 0 classes'):
        backbone, seen = inferencer.segmentor.model.backbone, []
    backbone.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].clone()))
    inferencer.predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif', batch_size=1)
    classes = _read(tmp_path / 'map.tif')
    np.testing.assert_array_equal(classes == 255, ~valid)
    sensor = get_sensor('s2_l2a')
    expected = (pixels[:, :20, :24] - np.reshape(sensor.mean, (10, 1, 1))
                ) / np.reshape(sensor.std, (10, 1, 1))
    expected = np.where(valid[:20, :24], expected, 0)
    assert seen[0].shape == (1, 10, 32, 32)
    np.testing.assert_allclose(
        seen[0][0, :, :20, :24], expected, rtol=0, atol=1e-5)
    assert (seen[0][..., 20:, :] == 0).all()


def test_nan_is_nodata(make_scene, write_segmentor, tmp_path):
    paths = write_segmentor(
        tmp_path, "type='LoadSingleRSImageFromFile'")
    pixels, valid = make_scene(
        tmp_path / 'scene.tif', dtype='float32', nodata_value=np.nan)
    assert not valid.all()
    MapInferencer(*paths, device='cpu').predict_raster(
        tmp_path / 'scene.tif', tmp_path / 'map.tif')
    with np.errstate(invalid='ignore'):
        logits = _untiled(paths[1], pixels)
    np.testing.assert_array_equal(
        _read(tmp_path / 'map.tif'),
        np.where(valid, logits.argmax(axis=0), 255))


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_a_model_that_fails_midway_leaves_nothing(segmentor, scene, tmp_path,
                                                  error):
    inferencer = MapInferencer(*segmentor, device='cpu')
    model = inferencer.segmentor.model
    original, calls = model.encode_decode, []

    def fail_later(inputs, metas):
        calls.append(1)
        if len(calls) == 3:
            raise error
        return original(inputs, metas)

    model.encode_decode = fail_later
    with pytest.raises(error):
        inferencer.predict_raster(
            scene[0], tmp_path / 'map.tif',
            probabilities=tmp_path / 'soft.tif')
    assert os.listdir(tmp_path) == ['scene.tif']


def test_a_truncated_scene_leaves_nothing(segmentor, scene, tmp_path):
    content = scene[0].read_bytes()
    scene[0].write_bytes(content[:len(content) // 2])
    with pytest.raises(RasterContractError, match='that GDAL can open'):
        MapInferencer(*segmentor, device='cpu').predict_raster(
            scene[0], tmp_path / 'map.tif')
    assert os.listdir(tmp_path) == ['scene.tif']


def test_nan_from_the_model_is_an_error(segmentor, scene, tmp_path):
    inferencer = MapInferencer(*segmentor, device='cpu')
    with torch.no_grad():
        inferencer.segmentor.model.decode_head.conv_seg.bias.fill_(np.nan)
    with pytest.raises(ValueError, match=r'NaN.*diverged'):
        inferencer.predict_raster(scene[0], tmp_path / 'map.tif')
    assert os.listdir(tmp_path) == ['scene.tif']


@pytest.mark.parametrize('arguments,words', [
    (dict(overlap=1.0), 'overlap=1.0'), (dict(overlap=-0.1), 'overlap=-0.1'),
    (dict(batch_size=0), 'batch_size=0'), (dict(window=0), 'window=0'),
    (dict(blend='cubic'), "blend='cubic'")])
def test_bad_arguments_are_refused_before_the_model(
        segmentor, scene, tmp_path, arguments, words):
    inferencer = MapInferencer(*segmentor, device='cpu')
    with pytest.raises(ValueError, match=words):
        inferencer.predict_raster(scene[0], tmp_path / 'map.tif', **arguments)
    assert 'segmentor' not in vars(inferencer)


@pytest.mark.parametrize('bad', [
    dict(count=5), dict(count=1), dict(dtype='float32')])
def test_a_scene_that_does_not_fit_is_refused_before_the_model(
        make_scene, segmentor, tmp_path, bad):
    make_scene(tmp_path / 'scene.tif', **bad)
    inferencer = MapInferencer(*segmentor, device='cpu')
    with pytest.raises(RasterContractError, match=r'scene\.tif.*expects'):
        inferencer.predict_raster(
            tmp_path / 'scene.tif', tmp_path / 'map.tif')
    assert 'segmentor' not in vars(inferencer)
    assert os.listdir(tmp_path) == ['scene.tif']


def test_same_name_for_map_and_probabilities_is_refused(segmentor, scene,
                                                        tmp_path):
    with pytest.raises(ValueError, match='need different names'):
        MapInferencer(*segmentor, device='cpu').predict_raster(
            scene[0], tmp_path / 'map.tif',
            probabilities=tmp_path / 'map.tif')


@pytest.mark.parametrize('change,words', [
    (lambda state: state.pop('decode_head.conv_seg.bias'),
     'missing.*decode_head.conv_seg.bias'),
    (lambda state: state.update(other=torch.zeros(1)), 'unexpected.*other'),
    (lambda state: state.update({
        'decode_head.conv_seg.bias': torch.zeros(7)
    }), r'another size.*\(7,\).*\(3,\)')])
def test_a_checkpoint_that_does_not_fit_is_refused(
        segmentor, scene, tmp_path, change, words):
    content = torch.load(segmentor[1], weights_only=False)
    change(content['state_dict'])
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=words) as caught:
        MapInferencer(
            segmentor[0], tmp_path / 'other.pth',
            device='cpu').predict_raster(scene[0], tmp_path / 'map.tif')
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'map.tif').exists()


def test_classes_without_names_are_numbered(write_segmentor, scene, tmp_path):
    folder = tmp_path / 'model'
    folder.mkdir()
    paths = write_segmentor(folder, meta={})
    with pytest.warns(UserWarning, match='names 0 classes, the model has 3'):
        summary = MapInferencer(*paths, device='cpu').predict_raster(
            scene[0], tmp_path / 'map.tif')
    assert summary.class_names == ('class 0', 'class 1', 'class 2')
    assert len(set(summary.palette)) == 3


def test_bfloat16_gives_nearly_the_same_map(segmentor, scene, tmp_path):
    maps = []
    for amp in (False, True):
        MapInferencer(*segmentor, device='cpu', amp=amp).predict_raster(
            scene[0], tmp_path / 'map.tif')
        maps.append(_read(tmp_path / 'map.tif'))
    assert (maps[0] == maps[1]).mean() > 0.97
    np.testing.assert_array_equal(maps[0] == 255, maps[1] == 255)


def test_the_window_comes_from_the_config():
    from mmengine.config import Config
    sliding = dict(test_cfg=dict(crop_size=(48, 40)))
    assert default_window(Config(dict(model=sliding, crop_size=64))) == (48,
                                                                         40)
    assert default_window(Config(dict(model={}, crop_size=(64, 32)))) == (64,
                                                                          32)
    padded = dict(data_preprocessor=dict(size=(32, 32)))
    assert default_window(Config(dict(model=padded))) == (32, 32)
    assert default_window(Config(dict(model={}))) == (512, 512)


def test_a_scale_makes_16_bits_into_8(make_scene, segmentor, tmp_path):
    values, _ = make_scene(tmp_path / 'scene.tif', 60, 50)
    inferencer = MapInferencer(*segmentor, device='cpu')
    inferencer.predict_raster(tmp_path / 'scene.tif', tmp_path / 'map.tif')
    wanted = _read(tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'scene.tif') as dataset:
        profile = dict(dataset.profile, dtype='uint16')
    with rasterio.open(tmp_path / 'wide.tif', 'w', **profile) as dataset:
        dataset.write(values.astype(np.uint16) * 100)
    with pytest.raises(RasterContractError, match='found uint16; pass scale'):
        inferencer.predict_raster(tmp_path / 'wide.tif',
                                  tmp_path / 'wide_map.tif')
    assert not (tmp_path / 'wide_map.tif').exists()
    inferencer.predict_raster(
        inferencer.inputs(tmp_path / 'wide.tif', scale=0.01),
        tmp_path / 'wide_map.tif')
    np.testing.assert_array_equal(_read(tmp_path / 'wide_map.tif'), wanted)
