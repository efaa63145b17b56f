# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The demonstration's steps, from a sample world to a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .steps import Step

_PRETRAIN = Path('configs/demo/pretrain.py')
_SEGMENT = Path('configs/demo/segment.py')
_BASES = tuple(
    Path('configs/_base_') / name for name in (
        'default_runtime.py', 'models/skysense_v2_tiny_pretrain.py',
        'models/skysense_v2_tiny_upernet.py',
        'datasets/sample_world_pretrain.py',
        'datasets/sample_world_segmentation.py'))


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Args:
        tiles: Training, validation and test tiles of the world.
        tile_size: Side of a tile in metres.
        scene_size: Side of the scene to map in pixels.
        pretrain_iters: Iterations of pre-training, None for the config's.
        segment_iters: Iterations of fine-tuning, None for the config's.
    """

    tiles: tuple[int, int, int] = (48, 2, 8)
    tile_size: float = 320.0
    scene_size: int = 1536
    pretrain_iters: int | None = None
    segment_iters: int | None = None


FULL = Size()
# Everything runs, nothing is learned: for a test of the line itself.
FAST = Size((4, 1, 1), 160.0, 320, 2, 2)


def demo_line(root: Path, work_dir: Path, size: Size = FULL,
              seed: int = 0, encoder: Path | None = None) -> list[Step]:
    """The seven steps.

    Args:
        root: The repository, which the commands run in.
        work_dir: Where everything is written.
        size: Of the world and of the schedules.
        seed: Of the world, the trainings and the baseline.
        encoder: Fine-tune from this packaged encoder, in place of the one
            that the demonstration pre-trains and shows.
    """
    configs = tuple(root / c for c in (_PRETRAIN, _SEGMENT, *_BASES))
    world = work_dir / 'world'
    pretrained, segmented = work_dir / 'pretrain', work_dir / 'segment'
    backbone = work_dir / 'backbone.pth'
    iterations = {
        'pretrain': size.pretrain_iters or _iterations(root / _PRETRAIN),
        'segment': size.segment_iters or _iterations(root / _SEGMENT),
    }
    last = segmented / f'iter_{iterations["segment"]}.pth'
    pretrain_last = pretrained / f'iter_{iterations["pretrain"]}.pth'
    scene = world / 'scenes' / 'valley.tif'
    # Tests and maps take every weight from the fine-tuned checkpoint.
    start = ('model.backbone.init_cfg.type=Pretrained',
             f'model.backbone.init_cfg.checkpoint={encoder or backbone}')

    def schedule(iters: int | None) -> tuple[str, ...]:
        if iters is None:
            return ()
        return (f'train_cfg.max_iters={iters}',
                f'default_hooks.checkpoint.interval={iters}',
                'default_hooks.logger.interval=1')

    workers = 2
    return [
        Step('world', 'Sample world: imagery and labels of three sensors',
             f'{sum(size.tiles)} tiles of {size.tile_size:.0f} m, '
             'about 1 minute',
             (('tools/make_sample_data.py', '--out', str(world), '--tiles',
               *map(str, size.tiles), '--tile-size', str(size.tile_size),
               '--scene-size', str(size.scene_size), '--seed', str(seed),
               '--workers', str(workers), '--force'), ),
             (world / 'world.json', scene)),
        Step('pretrain', 'QSACL pre-training on all three sensors',
             f'{iterations["pretrain"]} iterations, about 1.5 minutes',
             (('tools/train.py', str(_PRETRAIN), '--amp', '--work-dir',
               str(pretrained), '--cfg-options',
               f'train_dataloader.dataset.data_root={world}',
               f'randomness.seed={seed}', *schedule(size.pretrain_iters)), ),
             (pretrain_last, ), configs),
        Step('convert', 'The encoder alone, out of the checkpoint',
             'a few seconds',
             (('tools/model_converters/pretrain_to_backbone.py',
               str(pretrain_last), str(backbone)), ),
             (backbone, )),
        Step('segment', 'Fine-tuning for land cover with UPerNet' + (
            '' if encoder is None else f', from {encoder.name}'),
             f'{iterations["segment"]} iterations, about 4 minutes',
             (('tools/train.py', str(_SEGMENT), '--amp', '--work-dir',
               str(segmented), '--cfg-options',
               f'train_dataloader.dataset.data_root={world}',
               f'test_dataloader.dataset.data_root={world}',
               f'randomness.seed={seed}', *start,
               *schedule(size.segment_iters)), ),
             (last, ), configs + (() if encoder is None else (encoder, ))),
        Step('test', 'Test tiles, beside two baselines', 'about 15 s',
             (('tools/test.py', str(_SEGMENT), str(last), '--work-dir',
               str(work_dir / 'test'), '--cfg-options',
               f'test_dataloader.dataset.data_root={world}',
               f'test_evaluator.output_dir={work_dir / "predictions"}'),
              ('tools/analysis_tools/pixel_baselines.py', str(world),
               '--predictions', str(work_dir / 'predictions'), '--seed',
               str(seed), '--json', str(work_dir / 'scores.json'))),
             (work_dir / 'scores.json', ), configs),
        Step('map', 'Map of a scene that no training has seen',
             f'{size.scene_size} x {size.scene_size} pixels, about 15 s',
             (('tools/predict.py', str(_SEGMENT), str(last), str(scene),
               '--out', str(work_dir / 'map.tif'), '--quick-look',
               str(work_dir / 'map.png')), ),
             (work_dir / 'map.tif', work_dir / 'map.png'), configs),
        Step('report', 'Report page', 'about 10 s',
             (('tools/analysis_tools/demo_report.py', str(work_dir)), ),
             (work_dir / 'report.html', work_dir / 'comparison.png')),
    ]


def _iterations(config: Path) -> int:
    from mmengine.config import Config
    return int(Config.fromfile(config).train_cfg.max_iters)
