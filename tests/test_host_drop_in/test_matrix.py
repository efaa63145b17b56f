# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Every config of the matrix builds, takes a training step and predicts."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

sys.path.insert(0, str(Path(__file__).parent))
from matrix import ROWS, Row, table

# The tiny encoder's form at a third of its width.
ENCODER = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8)
WIDTHS = (16, 32, 64, 128)
SIZE = 64


def changed(row: Row) -> Config:
    """The stock config with the row's changes and nothing else."""
    package = Path(importlib.import_module(row.host).__file__).parent
    cfg = Config.fromfile(str(package / '.mim/configs' / row.config))
    cfg.model.backbone = dict(type='mmskysense.SkySenseV2', arch=ENCODER,
                              out_indices=row.stages)
    changes = {key: row.widths(stages, WIDTHS)
               for key, stages in row.channels.items()}
    cfg.merge_from_dict({f'model.{key}': value
                         for key, value in {**changes, **row.other}.items()})
    return cfg


def samples_of(host: str, cfg: Config, number: int = 2) -> list:
    """Data samples with a truth, as the host's pipelines pack them."""
    # mmrotate's samples are mmdet's, with turned boxes.
    package = 'mmdet' if host == 'mmrotate' else host
    structures = importlib.import_module(f'{package}.structures')
    info = dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE),
                pad_shape=(SIZE, SIZE), batch_input_shape=(SIZE, SIZE),
                scale_factor=(1.0, 1.0), img_id=0)
    found = []
    for n in range(number):
        if host == 'mmseg':
            sample = structures.SegDataSample(metainfo=info)
            sample.gt_sem_seg = PixelData(
                data=torch.randint(0, 150, (1, SIZE, SIZE)))
        elif host == 'mmdet':
            sample = structures.DetDataSample(metainfo=info)
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[8.0, 8, 40, 40], [20, 30, 60, 62]]),
                labels=torch.tensor([0, 3]),
                masks=structures.mask.BitmapMasks(
                    np.ones((2, SIZE, SIZE), np.uint8), SIZE, SIZE))
        elif host == 'mmrotate':
            from mmrotate.structures.bbox import RotatedBoxes
            sample = structures.DetDataSample(metainfo=info)
            sample.gt_instances = InstanceData(
                bboxes=RotatedBoxes(torch.tensor(
                    [[24.0, 24, 30, 16, 0.3], [40, 44, 36, 20, -0.6]])),
                labels=torch.tensor([0, 3]))
        else:
            sample = structures.DataSample(metainfo=info).set_gt_label(n)
            sample.set_gt_score(torch.eye(cfg.model.head.num_classes)[n])
        found.append(sample)
    return found


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.name)
def test_a_stock_config_steps_and_predicts(row):
    registry = pytest.importorskip(f'{row.host}.registry')
    if row.host in ('mmdet', 'mmrotate'):
        pytest.importorskip('mmcv._ext')
    importlib.import_module(f'{row.host}.utils').register_all_modules(
        init_default_scope=False)
    cfg = changed(row)
    init_default_scope(row.host)
    torch.manual_seed(0)
    # SyncBN is for several GPUs; mmengine's runner reverts it likewise.
    from mmengine.model import revert_sync_batchnorm
    model = revert_sync_batchnorm(registry.MODELS.build(cfg.model))
    model.init_weights()
    images = torch.rand(2, 3, SIZE, SIZE)
    samples = samples_of(row.host, cfg)
    model.train()
    losses = model(images, samples, mode='loss')
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    # Of the outputs' norms only those have one whose level the neck takes.
    for part in ('tokenizers.', 'norms.',
                 *(f'stages.{n}.' for n in range(max(row.stages) + 1))):
        gradients = [p.grad for name, p in model.backbone.named_parameters()
                     if name.startswith(part) and p.grad is not None]
        assert all(torch.isfinite(g).all() for g in gradients)
        assert sum(float(g.abs().sum()) for g in gradients) > 0, part
    torch.optim.SGD(model.parameters(), 1e-4).step()
    model.eval()
    with torch.no_grad():
        predicted = model(images, samples_of(row.host, cfg), mode='predict')
    field = dict(mmseg='pred_sem_seg', mmdet='pred_instances',
                 mmrotate='pred_instances', mmpretrain='pred_score')[row.host]
    assert len(predicted) == 2 and all(field in one for one in predicted)


def test_the_page_has_the_table():
    page = Path(__file__).parents[2] / 'docs/user_guides/drop_in.md'
    assert table() in page.read_text()


@pytest.mark.parametrize('host', ['mmseg', 'mmdet', 'mmrotate', 'mmpretrain'])
def test_there_are_enough(host):
    least = dict(mmseg=6, mmdet=6, mmrotate=3, mmpretrain=3)[host]
    assert sum(row.host == host for row in ROWS) >= least


def test_the_reverse_our_preprocessor_with_a_stock_backbone():
    registry = pytest.importorskip('mmseg.registry')
    init_default_scope('mmseg')
    model = registry.MODELS.build(dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='mmskysense.MultiSensorDataPreprocessor', sensor='s2_l2a'),
        backbone=dict(type='ResNetV1c', depth=18, in_channels=10,
                      base_channels=8, norm_cfg=dict(type='BN')),
        decode_head=dict(
            type='FCNHead', in_channels=64, channels=8, num_convs=1,
            num_classes=150, concat_input=False, norm_cfg=dict(type='BN'))))
    samples = samples_of('mmseg', None)
    data = model.data_preprocessor(dict(
        inputs=[torch.rand(10, SIZE, SIZE) * 3000 for _ in samples],
        data_samples=samples), True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)


ORIENTED = [row for row in ROWS if row.host == 'mmrotate'][:2]


@pytest.mark.parametrize('row', ORIENTED, ids=lambda row: row.name)
def test_turned_boxes_come_through_our_preprocessor(row):
    registry = pytest.importorskip('mmrotate.registry')
    pytest.importorskip('mmcv._ext')
    importlib.import_module('mmrotate.utils').register_all_modules(
        init_default_scope=False)
    cfg = changed(row)
    cfg.model.backbone.update(sensors=('s2_l2a', ), sensor='s2_l2a')
    cfg.model.data_preprocessor = dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='s2_l2a')
    init_default_scope('mmrotate')
    torch.manual_seed(0)
    model = registry.MODELS.build(cfg.model)
    samples = samples_of('mmrotate', cfg)
    data = model.data_preprocessor(dict(
        inputs=[torch.rand(10, SIZE, SIZE) * 3000 for _ in samples],
        data_samples=samples), True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)


# Our necks behind a ResNet: options, and channels of the deepest level.
NECKS = {
    'MultiSensorFusionNeck': (dict(sensors=('hr_rgb', )), 64),
    'TemporalFusionNeck': (dict(
        sensors=('hr_rgb', ),
        fusion=dict(embed_dims=32, depth=1, num_heads=2)), 32),
    'DateDifferenceNeck': (dict(comparison='all'), 3 * 64),
}


@pytest.mark.parametrize('name', NECKS)
def test_the_reverse_our_neck_with_a_stock_backbone_and_head(name):
    registry = pytest.importorskip('mmseg.registry')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    encoder = registry.MODELS.build(dict(
        type='ResNetV1c', depth=18, base_channels=8,
        norm_cfg=dict(type='BN')))
    options, width = NECKS[name]
    neck = registry.MODELS.build(dict(
        type=f'mmskysense.{name}', in_channels=(8, 16, 32, 64), **options))
    head = registry.MODELS.build(dict(
        type='FCNHead', in_channels=width, in_index=3, channels=8,
        num_convs=1, num_classes=5, concat_input=False,
        norm_cfg=dict(type='BN')))
    # Two places at two dates: a stock backbone sees four images.
    images = torch.rand(2, 2, 3, SIZE, SIZE)
    maps = neck({'hr_rgb': tuple(level.unflatten(0, (2, 2)) for level in
                                 encoder(images.flatten(0, 1)))})
    logits = head(maps)
    assert logits.shape[:2] == (2, 5)
    logits.square().mean().backward()
    assert encoder.layer4[-1].conv2.weight.grad.abs().sum() > 0
