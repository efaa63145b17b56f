# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Each base dataset config loads the sample world through its host."""

from importlib import import_module
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

from mmskysense.datasets.sample_world.catalogue import OSM

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'


def batches(name, host, root, splits=('train', 'val', 'test')):
    """Two samples of each split, preprocessed, and the dataset."""
    if host != 'mmskysense':
        pytest.importorskip(host)
        import_module(f'{host}.utils').register_all_modules(False)
    init_default_scope(host)
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    process = MODELS.build(cfg.data_preprocessor)
    for split in splits:
        options = cfg[f'{split}_dataloader'].dataset
        options.data_root = str(root)
        dataset = DATASETS.build(options)
        data = pseudo_collate([dataset[0], dataset[1]])
        yield split, dataset, process(data, split == 'train')


def test_segmentation(sample_world):
    for split, dataset, batch in batches('sample_world_segmentation', 'mmseg',
                                         sample_world):
        side = 256 if split == 'train' else 320
        assert batch['inputs'].shape == (2, 3, side, side)
        assert len(dataset) == (6 if split == 'train' else 2)
        for sample in batch['data_samples']:
            labels = sample.gt_sem_seg.data
            assert labels.shape == (1, side, side)
            assert set(labels.unique().tolist()) <= {*range(7), 255}
            assert (labels < 7).any()


def test_classification(sample_world):
    for _, dataset, batch in batches('sample_world_classification',
                                     'mmpretrain', sample_world):
        assert batch['inputs'].shape == (2, 3, 64, 64)
        assert len(dataset.CLASSES) == 8
        # Folder names hold '_' for ' ', and come in the classes' order.
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            folder = Path(info['img_path']).parent.name.replace('_', ' ')
            assert dataset.CLASSES[info['gt_label']] == folder


def test_detection(sample_world):
    for split, _, batch in batches('sample_world_detection', 'mmdet',
                                   sample_world):
        height, width = batch['inputs'].shape[-2:]
        assert height % 32 == width % 32 == 0
        for sample in batch['data_samples']:
            assert sample.batch_input_shape == (height, width)
            boxes = sample.gt_instances.bboxes
            assert isinstance(boxes, torch.Tensor) and boxes.shape[1] == 4
            if split != 'train':
                # From these CocoMetric takes the truth.
                assert len(sample.metainfo['instances']) >= len(boxes)


def test_pretraining(sample_world):
    for _, _, batch in batches('sample_world_pretrain', 'mmskysense',
                               sample_world, ('train', )):
        views = batch['inputs']['global']
        assert views.images['hr_rgb'].shape == (2, 2, 1, 3, 128, 128)
        assert batch['inputs']['local'].num_views == 4
        for name, image in views.images.items():
            seen = views.valid[name]
            assert torch.isfinite(image).all() and seen.any()
            values = image.movedim(3, -1)[seen]
            # Normalised by the table: of the order of one.
            assert values.abs().mean() < 3 and values.std() > 0.1
        # The classes of the sample world's map, most of it unmapped.
        for kind in ('global', 'local'):
            labels = batch['inputs'][kind].labels
            assert labels.shape[2:] == ((64, 64) if kind == 'global' else
                                        (32, 32))
            assert set(labels.unique().tolist()) <= {
                *range(len(OSM.names)), 255}
        assert (views.labels < 255).any()
        assert torch.isfinite(views.locations).all()
