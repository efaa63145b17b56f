# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Every downstream config trains and validates with stock heads."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).parent))
from downstream import CONFIGS, shrink, write_flood_chips

HOSTS = dict(
    segmentation='mmseg', classification='mmpretrain', detection='mmdet')
METRICS = dict(
    segmentation='mIoU',
    classification='accuracy/top1',
    detection='coco/bbox_mAP_50')


def task_of(name: str) -> str:
    return name.split('/')[1]


@pytest.fixture
def data_root(request, sample_world, tmp_path):
    """The data that a config names, in small."""
    name = request.getfixturevalue('name')
    pytest.importorskip(HOSTS[task_of(name)])
    if 'lora' in name:
        pytest.importorskip('peft')
    if 'flood' in name:
        return write_flood_chips(tmp_path / 'flood')
    return sample_world


def test_there_is_a_config_for_each_task():
    assert {task_of(name) for name in CONFIGS} == set(HOSTS)


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_and_validates(name, data_root, tmp_path):
    cfg = shrink(name, data_root, tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    before = {
        n: p.detach().clone()
        for n, p in runner.model.named_parameters()
    }
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3
    assert all(math.isfinite(loss) for loss in losses)
    metric = runner.message_hub.get_scalar(
        f'val/{METRICS[task_of(name)]}').current()
    assert math.isfinite(metric)
    if 'mask-rcnn' in name:
        masks = runner.message_hub.get_scalar('val/coco/segm_mAP').current()
        assert math.isfinite(masks)
    logged, = (tmp_path / 'work').rglob('vis_data/scalars.json')
    scores = [json.loads(line) for line in logged.read_text().splitlines()
              if METRICS[task_of(name)] in line]
    assert [score['step'] for score in scores] == [3]
    moved = {
        n.split('.')[0]
        for n, p in runner.model.named_parameters()
        if not torch.equal(p, before[n])
    }
    frozen = 'linear' in name
    assert ('backbone' in moved) or frozen
    assert len(moved) >= (1 if frozen else 2)


@pytest.mark.parametrize('name', CONFIGS)
def test_no_parameter_without_a_gradient(name, data_root, tmp_path):
    """DistributedDataParallel allows none, and none may be forgotten."""
    cfg = shrink(name, data_root, tmp_path / 'work')
    cfg.merge_from_dict({'model.backbone.moe.num_experts': 2})
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    runner.model.train()
    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    data = runner.model.data_preprocessor(batch, training=True)
    losses = runner.model(**data, mode='loss')
    total, _ = runner.model.parse_losses(losses)
    total.backward()
    assert [
        n for n, p in runner.model.named_parameters()
        if p.requires_grad and p.grad is None
    ] == []


@pytest.mark.parametrize(
    'name', [c for c in CONFIGS if 'finetune' in c or 'flood' in c])
def test_loss_falls_when_two_images_repeat(name, data_root, tmp_path):
    cfg = shrink(name, data_root, tmp_path / 'work')
    init_default_scope(cfg.default_scope)
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    runner.model.train()
    optimizer = runner.build_optim_wrapper(cfg.optim_wrapper)
    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    losses = [
        runner.model.train_step(batch, optimizer)['loss'].item()
        for _ in range(20)
    ]
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3]), losses
