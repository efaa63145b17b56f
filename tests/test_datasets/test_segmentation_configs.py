# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From a published layout to the metric: every segmentation dataset is run."""

import copy
import functools
import json
import math
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).parent))
import segmentation_miniatures as miniatures

from mmskysense.datasets.conversion import (
    air_polsar_seg,
    dynamicearthnet,
    fbp,
    isaid,
    pastis,
    potsdam,
    sparcs,
)
from mmskysense.engine import use_test_time_augmentation
from mmskysense.evaluation.probing import is_segmentation
from mmskysense.evaluation.probing.config_sets import dataset_part, scope_of

ROOT = Path(__file__).parents[2]
# Dataset in a config's name -> writer, converter, its options for miniatures.
DATASETS = {
    'isaid': (miniatures.write_isaid, isaid.convert_isaid,
              dict(size=64, overlap=16)),
    'potsdam': (miniatures.write_potsdam, potsdam.convert_potsdam,
                dict(size=64, overlap=32)),
    'fbp': (miniatures.write_fbp, fbp.convert_fbp, dict(size=64, overlap=16)),
    'sparcs': (miniatures.write_sparcs, sparcs.convert_sparcs,
               dict(size=64, overlap=16)),
    'air-polsar-seg': (miniatures.write_air_polsar_seg,
                       air_polsar_seg.convert_air_polsar_seg, {}),
    'dynamicearthnet': (miniatures.write_dynamicearthnet,
                        dynamicearthnet.convert_dynamicearthnet, {}),
    'pastis': (functools.partial(miniatures.write_pastis, size=16),
               pastis.convert_pastis,
               dict(sensors=('s2_l2a', 's1_grd', 'hr_rgb'))),
}
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for task in ('segmentation', 'multi_modal', 'change_detection')
    for path in (ROOT / 'configs' / task).glob('*.py')
    if any(f'_{name}-' in path.name for name in DATASETS))
TINY = [48, 96, 192, 384]


def dataset_of(config):
    return next(name for name in DATASETS
                if f'_{name}-' in Path(config).name)


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    """A function that writes and converts a miniature, once a dataset."""
    done = {}

    def convert(name):
        if name not in done:
            root = tmp_path_factory.mktemp(name)
            write, converter, options = DATASETS[name]
            source = write(root / 'download')
            converter(str(source), str(root / 'data'), partial=True, **options)
            done[name] = root / 'data'
        return done[name]

    return convert


def shrink(name, data_root, work_dir):
    """The config with a tiny model, small crops, three iterations."""
    cfg = Config.fromfile(str(ROOT / name))
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.num_workers, loader.persistent_workers = 0, False
        loader.dataset.data_root = str(data_root)
        if phase != 'train':
            loader.dataset.indices = 2
        for transform in loader.dataset.pipeline:
            kind = transform.type.removeprefix('mmskysense.')
            if kind == 'RandomResize':
                transform.scale = (64, 64)
            elif kind == 'RandomCrop':
                transform.crop_size = (32, 32)
            elif kind == 'MultiSensorRandomCrop':
                transform.crop_size = (16, 16)
    model = cfg.model
    model.backbone.update(arch='tiny')
    widths = [TINY[i] for i in model.backbone.get('out_indices', range(4))]
    if 'neck' in model:
        model.neck.in_channels = list(widths)
        model.neck.fusion.update(embed_dims=32, depth=1, num_heads=2)
        widths[-1] = 32
    for head in ('decode_head', 'auxiliary_head'):
        if model.get(head) is None:
            continue
        stages = model[head].in_index
        model[head].in_channels = [widths[i] for i in stages] if isinstance(
            stages, list) else widths[stages]
        model[head].channels = 32
        if model[head].norm_cfg.type == 'GN':
            model[head].norm_cfg.num_groups = 8
    if 'change_head' in model:
        model.change_head.in_channels = [3 * width for width in TINY]
        model.change_head.channels = 32
        model.change_head.norm_cfg.num_groups = 8
    if model.data_preprocessor.get('size') is not None:
        model.data_preprocessor.size = (32, 32)
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.save_optimizer = False
    cfg.visualizer.name = str(work_dir)
    # What tools/test.py does for --show-dir.
    cfg.default_hooks.visualization.update(draw=True, max_images=2)
    cfg.work_dir = str(work_dir)
    return cfg


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch):
    """mmengine formats the whole config eight times a run: a third of it."""
    monkeypatch.setattr(Config, 'pretty_text', property(repr))


def test_every_dataset_has_a_config():
    assert {dataset_of(name) for name in CONFIGS} == set(DATASETS)


@pytest.mark.parametrize('name', CONFIGS)
def test_probing_takes_it_for_segmentation(name):
    assert is_segmentation(Config.fromfile(str(ROOT / name)))


@pytest.mark.parametrize('name', ['isaid', 'fbp', 'dynamicearthnet'])
def test_probing_knows_the_host_of_a_dataset_alone(name):
    cfg = Config.fromfile(str(ROOT / f'configs/_base_/datasets/{name}.py'))
    assert scope_of(cfg, dataset_part(cfg, 'train')) == 'mmseg'


def check_views(cfg, weights, work_dir):
    """What tools/test.py does for --tta and --show-dir together."""
    cfg = copy.deepcopy(cfg)
    use_test_time_augmentation(cfg)
    cfg.work_dir = cfg.visualizer.name = str(work_dir)
    views = Runner.from_cfg(cfg)
    views.model.module.load_state_dict(weights)
    assert all(0 <= value <= 100 for value in views.test().values())
    assert list(work_dir.glob('*/vis_data/vis_image/*.png'))


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_validates_and_tests(name, converted, tmp_path):
    pytest.importorskip('mmseg')
    cfg = shrink(name, converted(dataset_of(name)), tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3
    assert all(math.isfinite(loss) for loss in losses)
    # Where the test split validates, no checkpoint is the best.
    metric = cfg.default_hooks.checkpoint.save_best or \
        cfg.val_evaluator.iou_metrics[-1]
    assert math.isfinite(
        runner.message_hub.get_scalar(f'val/{metric}').current())
    scores = runner.test()
    assert 0 <= scores[metric] <= 100
    pictures = list((tmp_path / 'work').glob('*/vis_data/vis_image/*.png'))
    assert 1 <= len(pictures) <= 2
    logged, = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    assert any(metric in json.loads(line)
               for line in logged.read_text().splitlines())
    if 'fcn_8xb2' in name or 'change_head' in cfg.model or \
            'sparcs' in name:  # series, pairs, single images
        check_views(cfg, runner.model.state_dict(), tmp_path / 'views')
    # DistributedDataParallel allows no parameter without a gradient.
    runner.model.train()
    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    data = runner.model.data_preprocessor(batch, training=True)
    total, _ = runner.model.parse_losses(runner.model(**data, mode='loss'))
    total.backward()
    assert [
        n for n, p in runner.model.named_parameters()
        if p.requires_grad and p.grad is None
    ] == []
