# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Every pre-training recipe fits together; the tiny ones train."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmskysense.datasets.index_builder import index_tiles
from mmskysense.datasets.sample_world.catalogue import OSM
from mmskysense.models.pretrain.class_names import read_class_table
from mmskysense.registry import DATASETS, MODELS
from mmskysense.sensors import SENSORS
from mmskysense.utils.text_encoder import MINILM

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'configs/skysense_v2'
CONFIGS = sorted(path.name for path in FOLDER.glob('*.py'))
TINY = [name for name in CONFIGS if '_tiny' in name]
SIZES = ('tiny', 'small', 'base', 'large', 'huge')
SUFFIXES = {
    '': ('hr_rgb', 's2_l2a', 's1_grd'),
    '-rgb': ('hr_rgb', ),
    '-s2': ('s2_l2a', ),
    '-s1s2': ('s2_l2a', 's1_grd'),
}
NAME = re.compile(
    r'skysense_v2_(?P<size>[a-z]+)(?P<terms>(-[a-z]+)*)_(?P<gpus>\d+)xb'
    r'(?P<batch>\d+)-(?P<schedule>\d+)k_(?P<data>sample-world|image-archive'
    r'-64x64)(?P<sensors>(-[a-z0-9]+)?)\.py')
LEVELS = ('image_head', 'pixel_head', 'object_head')


def read(name):
    return Config.fromfile(FOLDER / name)


def step(pipeline, kind):
    found = [s for s in pipeline if s.type == f'mmskysense.{kind}']
    assert len(found) <= 1
    return found[0] if found else None


def meta_model(cfg):
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def test_every_size_has_every_set_of_sensors():
    found = {(m['size'], m['sensors']) for m in map(NAME.fullmatch, CONFIGS)
             if m['data'] == 'sample-world'}
    assert found == {(size, suffix) for size in SIZES for suffix in SUFFIXES}


@pytest.mark.parametrize('name', CONFIGS)
def test_the_name_says_what_is_inside(name):
    cfg, parts = read(name), NAME.fullmatch(name)
    assert cfg.model.backbone.arch == parts['size']
    assert cfg.train_dataloader.batch_size == int(parts['batch'])
    assert cfg.train_cfg.max_iters == 1000 * int(parts['schedule'])
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
    assert ('text_head' in cfg.model) == ('-ita' in parts['terms'])
    assert ('geo_context' in cfg.model) == ('-geo' in parts['terms'])
    if int(parts['schedule']) == 600:
        # The paper's batch and learning rate (spec section 3).
        assert int(parts['gpus']) * int(parts['batch']) == 1024 \
            == cfg.auto_scale_lr.base_batch_size
        assert cfg.optim_wrapper.optimizer.lr == 2e-4
        assert cfg.param_scheduler[-1].eta_min == 1e-6


@pytest.mark.parametrize('name', CONFIGS)
def test_at_most_two_levels_of_inheritance(name):
    def depth(path):
        bases = Config._get_base_files(str(path))
        return 0 if not bases else 1 + max(
            depth(path.parent / base) for base in bases)

    assert depth(FOLDER / name) <= 2


@pytest.mark.parametrize('name', CONFIGS)
def test_sensors_and_channels_agree_everywhere(name):
    cfg = read(name)
    model, parts = meta_model(cfg), NAME.fullmatch(name)
    sensors = SUFFIXES[parts['sensors']] if parts['data'] == 'sample-world' \
        else ('hr_rgb', )
    assert set(sensors) <= set(SENSORS)
    backbone, fusion = model.student['backbone'], model.student['fusion']
    assert backbone.sensors == fusion.sensors == sensors
    assert backbone.out_indices == (3, )
    assert tuple(cfg.data_preprocessor.sensors) == sensors
    assert fusion.in_channels == backbone.out_channels[0]
    sources = dict(fused=fusion.embed_dims,
                   **dict.fromkeys(sensors, backbone.out_channels[0]))
    for level in LEVELS:
        heads = model.student[level].heads
        assert {source: head.mlp[0].in_features
                for source, head in heads.items()} == sources
    dataset = cfg.train_dataloader.dataset
    assert tuple(dataset.sensors) == sensors
    assert dataset.pipeline == cfg.train_pipeline
    assert tuple(step(dataset.pipeline,
                      'LoadMultiSensorTile').sensors) == sensors
    assert set(views(cfg).sizes) == set(sensors)


def views(cfg):
    """What cuts the views: a step of the pipeline, or a batch at once."""
    return step(cfg.train_pipeline, 'MultiCropViews') or \
        cfg.data_preprocessor.views


@pytest.mark.parametrize('name', CONFIGS)
def test_labels_are_loaded_where_text_needs_them_and_only_there(name):
    cfg = read(name)
    dataset = cfg.train_dataloader.dataset
    labels = step(dataset.pipeline, 'LoadTileLabels')
    crop = views(cfg)
    if 'text_head' in cfg.model:
        assert dataset.label_key == 'osm' and crop.label_sizes
        assert labels.num_classes == cfg.model.text_head.num_classes
        table = read_class_table(cfg.model.text_head.table)
        assert table.names == OSM.names
        # Of the names: learned ones would align pixels with no text.
        assert table.encoder == MINILM
        assert not cfg.model.text_head.get('learnable')
    else:
        # So that an archive without labels works with data_root=DIR alone.
        assert labels is None and dataset.get('label_key') is None
        assert crop.get('label_sizes') is None


def test_huge_is_the_papers():
    cfg = read('skysense_v2_huge-ita_128xb8-600k_sample-world.py')
    student = meta_model(cfg).student
    # 1,994.10 M reported, with a position table that we have not (6.7 M).
    count = sum(p.numel() for p in student['backbone'].parameters())
    assert count / 1e6 == pytest.approx(654.70 + 1332.70, rel=1e-3)
    fusion = student['fusion']
    assert (len(fusion.layers), fusion.embed_dims,
            fusion.layers[0].num_heads) == (24, 1024, 16)
    assert fusion.layers[-1].drop_path.drop_prob == pytest.approx(0.3)
    assert student['qsacl_head'].num_queries == 16
    experts = [hasattr(block.mlp, 'experts')
               for stage in student['backbone'].stages[2:]
               for block in stage.blocks]
    assert experts == [False] * 14 + [True] * 6
    hook = cfg.custom_hooks[0]
    assert hook.momentum == (0.992, 0.9999)
    for size in ('large', 'huge'):
        part = read(next(n for n in CONFIGS if f'_{size}_' in n)).model
        assert part.backbone.with_cp and part.fusion.with_cp


@pytest.mark.parametrize('name', [n for n in CONFIGS if n not in TINY])
def test_larger_configs_load_the_sample_world(name, sample_world):
    cfg = read(name)
    options = cfg.train_dataloader.dataset
    options.data_root = str(sample_world)
    sample = DATASETS.build(options)[0]
    crop = step(options.pipeline, 'MultiCropViews')
    views = sample['inputs']['global']
    assert len(views) == 2
    for sensor, (size, _) in crop.sizes.items():
        assert views[0]['images'][sensor].shape[-2:] == (size, size)


def image_archive(root):
    """Plain PNG chips in folders, with a list file."""
    generator = np.random.default_rng(0)
    names = [f'{kind}/{kind}_{n}.png' for kind in ('a', 'b')
             for n in range(4)]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)
    (root / 'train.txt').write_text('\n'.join(names))
    index_tiles(root, dict(hr_rgb='.'), lists=dict(train=root / 'train.txt'))
    return root


@pytest.mark.parametrize('name', TINY)
def test_tiny_configs_train_under_the_stock_runner(name, sample_world,
                                                   tmp_path):
    cfg = read(name)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.train_cfg.max_iters = 2
    cfg.param_scheduler = []
    cfg.custom_hooks[0].freeze_prototypes_iters = 0
    cfg.train_dataloader.update(
        batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.pin_memory = False
    cfg.train_dataloader.dataset.data_root = str(
        image_archive(tmp_path / 'archive') if 'archive' in name
        else sample_world)
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    before = {n: p.detach().clone()
              for n, p in runner.model.student.named_parameters()}
    runner.train()
    for term in ('qsacl', 'image', 'pixel', 'object', 'koleo',
                 *(('text', ) if '-ita' in name else ())):
        values = runner.message_hub.get_scalar(f'train/loss_{term}').data[0]
        assert len(values) == 2 and all(map(math.isfinite, values)), term
        assert term == 'koleo' or min(values) > 0, term
    still = [n for n, p in runner.model.student.named_parameters()
             if torch.equal(p, before[n])]
    assert not still, still
