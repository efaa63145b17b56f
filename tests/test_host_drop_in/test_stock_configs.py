# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The hosts' own configs with nothing but the backbone changed.

In each: ``custom_imports``, ``model.backbone`` and the input widths of the
heads (or neck). The data set is a few generated files in the layout that the
config expects, smaller, and training is three iterations long; data pipeline,
preprocessor, heads, losses and optimiser are the host's, untouched.
"""

import importlib
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

WIDTHS = [48, 96, 192, 384]
IMAGES = 6  # three iterations of two


def stock_config(host: str, name: str) -> Config:
    """A config from the installed package."""
    package = Path(importlib.import_module(host).__file__).parent
    return Config.fromfile(str(package / '.mim' / 'configs' / name))


def drop_in(cfg: Config) -> None:
    """What a user writes to change the backbone."""
    cfg.custom_imports = dict(
        imports=['mmskysense'], allow_failed_imports=False)
    cfg.model.backbone = dict(type='mmskysense.SkySenseV2', arch='tiny')


def picture(path: Path, size: int = 80, suffix: str = '.jpg') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.randint(0, 255, (size, size, 3), np.uint8)
    assert cv2.imwrite(str(path.with_suffix(suffix)), pixels)


def scale_images(cfg: Config, size: int) -> None:
    for transform in cfg.train_dataloader.dataset.pipeline:
        if 'scale' in transform:
            transform.scale = (size, size) if isinstance(
                transform.scale, tuple | list) else size
        if 'crop_size' in transform:
            transform.crop_size = (size, size)


def segmentation(root: Path) -> Config:
    """UPerNet of the Swin config, on files in ADE20K's layout."""
    for number in range(IMAGES):
        picture(root / 'images/training' / f'{number}')
        label = root / 'annotations/training' / f'{number}.png'
        label.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(label), np.random.randint(0, 151, (80, 80), np.uint8))
    cfg = stock_config('mmseg', 'swin/swin-tiny-patch4-window7-in1k-pre_'
                       'upernet_8xb2-160k_ade20k-512x512.py')
    drop_in(cfg)
    cfg.model.decode_head.in_channels = WIDTHS
    cfg.model.auxiliary_head.in_channels = WIDTHS[2]
    cfg.model.data_preprocessor.size = (64, 64)
    cfg.train_cfg.max_iters = IMAGES // 2
    return cfg


def detection(root: Path) -> Config:
    """Faster R-CNN with FPN, on files in COCO's layout."""
    images, boxes = [], []
    for number in range(IMAGES):
        picture(root / 'train2017' / f'{number}')
        images.append(
            dict(id=number, file_name=f'{number}.jpg', width=80, height=80))
        boxes.append(
            dict(id=number, image_id=number, category_id=1, iscrowd=0,
                 bbox=[10, 12, 50, 40], area=2000))
    (root / 'annotations').mkdir()
    (root / 'annotations/instances_train2017.json').write_text(
        json.dumps(
            dict(images=images, annotations=boxes,
                 categories=[dict(id=1, name='person')])))
    cfg = stock_config('mmdet', 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    drop_in(cfg)
    cfg.model.neck.in_channels = WIDTHS
    cfg.train_cfg.max_epochs = 1
    return cfg


def classification(root: Path) -> Config:
    """Swin V2's config, on files in ImageNet's layout."""
    names = [f'n{number}/{number}.JPEG' for number in range(IMAGES)]
    for name in names:
        picture(root / 'train' / name, suffix='.JPEG')
    (root / 'train.txt').write_text('\n'.join(
        f'{name} {number}' for number, name in enumerate(names)))
    cfg = stock_config('mmpretrain', 'swin_transformer_v2/'
                       'swinv2-tiny-w8_16xb64_in1k-256px.py')
    drop_in(cfg)
    cfg.model.backbone.out_indices = (3, )
    cfg.model.head.in_channels = WIDTHS[3]
    cfg.train_dataloader.dataset.ann_file = 'train.txt'
    cfg.train_cfg.max_epochs = 1
    return cfg


@pytest.mark.parametrize('host, build', [
    ('mmseg', segmentation),
    ('mmdet', detection),
    ('mmpretrain', classification),
])
def test_stock_config_trains(host, build, tmp_path):
    pytest.importorskip(host)
    cfg = build(tmp_path / 'data')
    scale_images(cfg, 64)
    loader = cfg.train_dataloader
    loader.dataset.data_root = str(tmp_path / 'data')
    loader.batch_size, loader.num_workers = 2, 0
    loader.persistent_workers = False
    # Only training; the warm-up would hold the rate near zero for so long.
    for key in ('val', 'test'):
        for part in ('dataloader', 'evaluator', 'cfg'):
            cfg[f'{key}_{part}'] = None
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    assert type(runner.model.backbone).__name__ == 'SkySenseV2'
    runner.model.init_weights()
    before = {
        name: parameter.detach().clone()
        for name, parameter in runner.model.backbone.named_parameters()
    }
    assert before
    runner.train()
    assert runner.iter == IMAGES // 2
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3
    assert all(math.isfinite(loss) for loss in losses)
    changed = [
        name for name, parameter in runner.model.backbone.named_parameters()
        if not torch.equal(parameter, before[name])
    ]
    assert any(name.startswith('tokenizers') for name in changed)
    assert any(name.startswith('stages.3') for name in changed)
