# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tiny segmentors on disk: a config, a checkpoint, and rasters to map."""

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine

CLASSES = ['water', 'forest', 'road']
PALETTE = [[0, 0, 200], [0, 120, 0], [90, 90, 90]]
META = dict(classes=CLASSES, palette=PALETTE)
NORTH_UP = Affine(0.5, 0, 5e5, 0, -0.5, 46e5)

# The head scores each pixel by itself: a tiled map must equal the untiled.
CONFIG = '''
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb={bgr_to_rgb}),
    backbone=dict(type='PixelsThemselves'),
    decode_head=dict(
        type='FCNHead', in_channels=3, in_index=0, channels=3, num_convs=0,
        num_classes={num_classes}, concat_input=False, norm_cfg=None,
        **{head}),
    test_cfg=dict(mode='slide', crop_size=(48, 40), stride=(24, 20)))
test_pipeline = [dict({loader})]
'''


@pytest.fixture(scope='session', autouse=True)
def pixels_themselves():
    mmseg_registry = pytest.importorskip('mmseg.registry')

    class PixelsThemselves(torch.nn.Module):

        def forward(self, pixels):
            return (pixels, )

    mmseg_registry.MODELS.register_module(
        name='PixelsThemselves', module=PixelsThemselves, force=True)


def _write_segmentor(folder, loader="type='mmskysense.LoadGeoTIFF'",
                     bgr_to_rgb=False, num_classes=3, head='dict()',
                     meta=META):
    """A config and a checkpoint that fits it; returns both paths."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    config, checkpoint = folder / 'config.py', folder / 'checkpoint.pth'
    config.write_text(
        CONFIG.format(loader=loader, bgr_to_rgb=bgr_to_rgb,
                      num_classes=num_classes, head=head))
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta)),
        checkpoint)
    return config, checkpoint


@pytest.fixture(scope='session')
def segmentor(tmp_path_factory):
    """Paths of the config and the checkpoint of a 1x1 segmentor."""
    return _write_segmentor(tmp_path_factory.mktemp('segmentor'))


def _make_scene(path, height=130, width=101, nodata=True, count=3,
                dtype='uint8', transform=NORTH_UP, crs='EPSG:32631',
                nodata_value=0):
    """Noise with a hole of nodata, and how much of it is measured."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 256, (count, height, width)).astype(dtype)
    if nodata:
        pixels[:, height // 3:, :width // 4] = nodata_value
        pixels[:, :7] = nodata_value
    with rasterio.open(
            path, 'w', driver='GTiff', height=height, width=width,
            count=count, dtype=dtype, crs=crs, transform=transform,
            nodata=nodata_value if nodata else None) as dataset:
        dataset.write(pixels)
        if count == 3:
            dataset.descriptions = ('R', 'G', 'B')
    # All bands must hold the value: that is the rule for 8-bit imagery.
    missing = np.isnan(pixels) if dtype.startswith('float') \
        else pixels == nodata_value
    return pixels, ~missing.all(axis=0)


@pytest.fixture
def write_segmentor():
    """The function that writes a segmentor of another kind."""
    return _write_segmentor


@pytest.fixture
def make_scene():
    """The function that writes a scene of another kind."""
    return _make_scene


@pytest.fixture
def scene(tmp_path):
    """Path, pixels (3, H, W) and validity of a scene."""
    path = tmp_path / 'scene.tif'
    return path, *_make_scene(path)
