# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A sensor that only the config knows: from training to the map."""

import pickle
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from mmskysense import SkySenseV2
from mmskysense.apis import MapInferencer

pytest.importorskip('mmseg')
sensors = import_module('mmskysense.sensors')
ROOT = Path(__file__).resolve().parents[2]
CONFIG = '''
_base_ = [
    '{root}/configs/_base_/models/skysense_v2_tiny_upernet.py',
    '{root}/configs/_base_/default_runtime.py',
]
default_scope = 'mmseg'
new_sensors = [dict(
    name='camera', like='aerial_rgbn', title='camera with red edge',
    bands=[dict(name='R', common_name='red', wavelength=635.0),
           dict(name='E', common_name='rededge1', wavelength=705.0),
           dict(name='N', common_name='nir', wavelength=840.0)],
    mean=[100.0, 110.0, 120.0], std=[50.0, 50.0, 60.0],
    ground_sample_distance=0.2, default_bands=['R', 'E', 'N'])]
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    data_preprocessor=dict(sensor='camera', size=(64, 64)),
    backbone=dict(
        sensor='camera',
        init_cfg=dict(checkpoint='{start}',
                      adapt=dict(camera=['hr_rgb', 's2_l2a']))),
    decode_head=dict(num_classes=2, channels=16, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=2, channels=16, norm_cfg=norm_cfg))
pipeline = [
    dict(type='mmskysense.LoadGeoTIFF', sensor='camera'),
    dict(type='mmskysense.LoadGeoTIFFAnnotations', num_classes=2),
    dict(type='PackSegInputs'),
]
test_pipeline = pipeline
train_dataloader = dict(
    batch_size=2, num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset', data_root='{data}', img_suffix='.tif',
        seg_map_suffix='.png', pipeline=pipeline,
        data_prefix=dict(img_path='image', seg_map_path='label'),
        metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 0], [9, 9, 9]])))
optim_wrapper = dict(type='OptimWrapper',
                     optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=10)
val_cfg = val_dataloader = val_evaluator = None
test_dataloader = dict(train_dataloader, batch_size=1,
                       sampler=dict(type='DefaultSampler', shuffle=False))
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='IoUMetric')
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1))
log_processor = dict(by_epoch=False)
'''


@pytest.fixture
def config(tmp_path, monkeypatch, write_raster):
    monkeypatch.setattr(sensors, 'SENSORS', dict(sensors.SENSORS))
    rng = np.random.default_rng(0)
    (tmp_path / 'data/label').mkdir(parents=True)
    for name in 'ab':
        write_raster(f'data/image/{name}.tif',
                     rng.integers(1, 255, (3, 64, 64)).astype(np.uint8),
                     ('R', 'E', 'N'), pixel=0.2)
        Image.fromarray(rng.integers(0, 2, (64, 64)).astype(np.uint8)).save(
            tmp_path / f'data/label/{name}.png')
    start = tmp_path / 'start.pth'
    torch.save(SkySenseV2('tiny', sensors=('hr_rgb', 's2_l2a')).state_dict(),
               start)
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=ROOT, start=start,
                                  data=tmp_path / 'data'))
    return path


def test_from_training_to_the_map(config, tmp_path, call):
    work = tmp_path / 'work'
    assert call('train', config, '--work-dir', work) is None
    kernel = torch.load(work / 'iter_1.pth', weights_only=False)[
        'state_dict']['backbone.tokenizers.camera.projection.weight']
    assert kernel.shape == (48, 3, 4, 4)

    # The copy of the config beside the checkpoint knows the sensor too, and
    # so does the process that an inferencer is sent to.
    sensors.SENSORS.pop('camera')
    inferencer = MapInferencer(work / 'config.py', work / 'iter_1.pth',
                               device='cpu')
    sent = pickle.dumps(inferencer)
    sensors.SENSORS.pop('camera')
    inferencer = pickle.loads(sent)
    out = tmp_path / 'map.tif'
    inferencer.predict_raster(tmp_path / 'data/image/a.tif', out, window=64)
    with rasterio.open(out) as written:
        assert written.shape == (64, 64)
        assert set(np.unique(written.read(1))) <= {0, 1, 255}
