# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The demo's report: what was done, how well, and what the model sees."""

from __future__ import annotations

import json
import os
import platform
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from mmskysense.evaluation.pixel_baselines import read_class_map
from mmskysense.version import __version__
from mmskysense.visualization import curves, report
from mmskysense.visualization.comparison import (
    colour_classes,
    error_map,
    overlay,
)
from mmskysense.visualization.expert_maps import PALETTE, ExpertMap
from mmskysense.visualization.feature_colours import (
    principal_colours,
    resize_nearest,
)
from mmskysense.visualization.query_maps import (
    paint_attention,
    relative_to_uniform,
)

from .comparison_picture import save_comparison
from .pictures import (
    look_into_pretraining,
    look_into_segmentor,
    read_classes,
    read_picture,
    varied_tiles,
)

_SIDE = 480  # pixels of a large picture on the page


def make_report(work_dir: Path) -> Path:
    """Write ``report.html`` and ``comparison.png`` from the other steps.

    Args:
        work_dir: Folder of ``tools/demo.py``.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError: A step has not been done.
    """
    for name in ('world/world.json', 'scores.json', 'map.tif',
                 'pretrain/pretrain.py', 'segment/segment.py'):
        if not (work_dir / name).exists():
            raise FileNotFoundError(f'{work_dir / name}: not there; run '
                                    'tools/demo.py first')
    scores = json.loads((work_dir / 'scores.json').read_text())
    world = json.loads((work_dir / 'world' / 'world.json').read_text())
    steps = [json.loads(path.read_text()) for path in sorted(
        (work_dir / 'steps').glob('*.json'), key=lambda p: p.stat().st_mtime)
        if path.stem != 'report']
    pretrain = Config.fromfile(work_dir / 'pretrain' / 'pretrain.py')
    segment = Config.fromfile(work_dir / 'segment' / 'segment.py')
    page = report.Page(
        'SkySense V2, end to end on one small machine',
        'A synthetic landscape seen by three sensors; self-supervised '
        'pre-training with query-based contrast; fine-tuning with a stock '
        'mmsegmentation head; a georeferenced map. Everything below was '
        'computed by the commands at the end of this page.')
    page.add(_cards(scores, steps, pretrain, segment))
    page.add(report.paragraph(
        'How to read this page: the method is that of SkySense V2 (Zhang et '
        'al., ICCV 2025, arXiv 2507.13812). The model is not the paper\'s of '
        '661 M parameters but a toy of ours with the same parts, trained '
        f'for {pretrain.train_cfg.max_iters} and '
        f'{segment.train_cfg.max_iters} iterations on generated imagery. It '
        'shows that the whole line works, not what the method can reach; no '
        'figure here compares with a published one.', 'note'))
    _map_section(page, work_dir, world)
    _score_section(page, scores, world, pretrain, segment)
    _tile_section(page, work_dir, world)
    _training_section(page, work_dir, pretrain, segment)
    _query_section(page, work_dir, pretrain)
    _expert_section(page, work_dir, segment)
    _repeat_section(page, steps)
    return page.save(work_dir / 'report.html')


def _cards(scores: dict[str, Any], steps: list[dict[str, Any]],
           pretrain: Config, segment: Config) -> str:
    best = scores['scores'][0]
    cards = [(f"{100 * best['mean_iou']:.1f} %", 'mIoU on unseen test tiles'),
             *((f"{100 * s['mean_iou']:.1f} %", f"mIoU of the {s['name']}")
               for s in scores['scores'][1:]),
             (_clock(sum(s['seconds'] for s in steps)),
              f'wall time on {os.cpu_count()} CPU cores')]
    peak = max((s['peak_memory'] for s in steps), default=0)
    if peak:
        cards.append((f'{peak / 2**30:.1f} GiB', 'largest memory at once'))
    return '<div class="cards">' + ''.join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(what)}'
        '</span></div>' for value, what in cards) + '</div>'


def _map_section(page: report.Page, work_dir: Path,
                 world: dict[str, Any]) -> None:
    scenes = work_dir / 'world' / 'scenes'
    image = read_picture(scenes / 'valley.tif')
    truth = read_classes(scenes / 'valley_land_cover.tif')
    found = read_classes(work_dir / 'map.tif')
    names, palette = _classes(world)
    save_comparison(work_dir / 'comparison.png', _shrink(image),
                    _shrink(colour_classes(found, palette)),
                    _shrink(colour_classes(truth, palette)), names, palette)
    right = float((truth == found)[truth != 255].mean())
    metres = world['ground_sample_distance'] * image.shape[1]
    cells = [
        report.figure(_shrink(image), f'Image, {metres:.0f} m wide, '
                      f"{world['ground_sample_distance']} m pixels"),
        report.figure(_shrink(colour_classes(found, palette)),
                      'Predicted map (map.tif)', lossless=True),
        report.figure(_shrink(colour_classes(truth, palette)), 'Truth',
                      lossless=True),
        report.figure(_shrink(error_map(image, truth, found)),
                      f'Errors in red; {100 * right:.1f} % of pixels right'),
    ]
    page.section(
        'The map', report.paragraph(
            'A scene from a part of the landscape that holds no training, '
            'validation or test tile, in overlapping windows whose scores '
            'are blended. The map is a tiled GeoTIFF with the '
            'reference system, colours and class names; it opens in any GIS.'
        ), report.grid(cells, 2), report.legend(names, palette))


def _score_section(page: report.Page, scores: dict[str, Any],
                   world: dict[str, Any], pretrain: Config,
                   segment: Config) -> None:
    methods = scores['scores']
    bars = curves.bar_chart(
        {s['name']: 100 * s['mean_iou'] for s in methods})
    _, palette = _classes(world)
    rows = [[report.swatch(palette[i]) + escape(name), *(
        'n/a' if s['iou'][i] is None else f"{100 * s['iou'][i]:.1f}"
        for s in methods)] for i, name in enumerate(scores['classes'])]
    rows.append(['<b>mean (mIoU)</b>', *(
        f"<b>{100 * s['mean_iou']:.1f}</b>" for s in methods)])
    rows.append(['pixel accuracy', *(
        f"{100 * s['accuracy']:.1f}" for s in methods)])
    page.section(
        'Against two baselines', report.paragraph(
            'mIoU over all pixels of the test tiles, the same classes and '
            'definition (mmseg\'s IoUMetric) for all three. The majority '
            'class ignores the image. The linear model is a multinomial '
            'logistic regression on the three values of single pixels, rare '
            'classes weighted: what colour alone gives away. The gap to it '
            'is what the network draws from texture, shape and '
            'surroundings.'),
        '<div class="split"><div>', bars, '</div><div>',
        report.table(['IoU in %', 'SkySense V2', 'linear', 'majority'],
                     rows), '</div></div>')


def _tile_section(page: report.Page, work_dir: Path,
                  world: dict[str, Any]) -> None:
    names, palette = _classes(world)
    root = work_dir / 'world'
    cells = []
    for tile in varied_tiles(root, 'test', 3):
        image = read_picture(root / 'hr_rgb' / 'test' / f'{tile}.tif')
        truth = read_classes(root / 'land_cover' / 'test' / f'{tile}.tif')
        found = read_class_map(work_dir / 'predictions' / f'{tile}.png')
        cells += [
            report.figure(_shrink(image, 320), f'Tile {tile}'),
            report.figure(_shrink(colour_classes(truth, palette), 320),
                          'truth', lossless=True),
            report.figure(_shrink(colour_classes(found, palette), 320),
                          'prediction', lossless=True),
            report.figure(_shrink(error_map(image, truth, found), 320),
                          'errors in red'),
        ]
    page.section('Test tiles', report.paragraph(
        'The test tiles with the most even mixture of classes; not chosen '
        'by result.'), report.grid(cells, 4), report.legend(names, palette))


def _training_section(page: report.Page, work_dir: Path, pretrain: Config,
                      segment: Config) -> None:
    first = curves.read_scalars(work_dir / 'pretrain')
    second = curves.read_scalars(work_dir / 'segment')

    def points(rows: list[dict], key: str) -> list[tuple[float, float]]:
        return [(r['iter'], r[key]) for r in rows if key in r]

    heads = pretrain.model.qsacl_head
    uniform = float(np.log(heads.num_prototypes))
    terms = {'QSACL': points(first, 'loss_qsacl'),
             'image level': points(first, 'loss_image')}
    ends = [line[-1][1] for line in terms.values()]
    left = curves.line_chart(
        {**terms, f'ln {heads.num_prototypes}': [
            (first[0]['iter'], uniform), (first[-1]['iter'], uniform)]},
        'iteration', 'loss')
    right = curves.line_chart(
        {'UPerHead': points(second, 'decode.loss_ce'),
         'auxiliary head': points(second, 'aux.loss_ce')}, 'iteration',
        'cross-entropy')
    page.section(
        'Training', '<div class="split"><figure>', left,
        '<figcaption>Pre-training without labels: '
        f'{pretrain.train_cfg.max_iters} iterations of '
        f'{pretrain.train_dataloader.batch_size} tiles. Both terms are '
        'cross-entropies against a moving teacher over '
        f'{heads.num_prototypes} prototypes. An answer that says nothing '
        f'has ln {heads.num_prototypes} = {uniform:.2f}; they end at '
        f'{ends[0]:.2f} and {ends[1]:.2f}'
        + (', so this short run has hardly begun to learn'
           if min(ends) > 0.9 * uniform else '') + '. The pairing '
        'by query is the paper\'s; projection head, centring and '
        'temperatures are ours, as the paper does not give them.'
        '</figcaption></figure><figure>', right,
        '<figcaption>Fine-tuning: '
        f'{segment.train_cfg.max_iters} iterations of '
        f'{segment.train_dataloader.batch_size} crops of '
        f'{segment.crop_size[0]} x {segment.crop_size[1]} pixels, encoder '
        'and heads together.</figcaption></figure></div>')


def _query_section(page: report.Page, work_dir: Path,
                   pretrain: Config) -> None:
    checkpoint = work_dir / 'pretrain' / (
        f'iter_{pretrain.train_cfg.max_iters}.pth')
    views = look_into_pretraining(work_dir / 'pretrain' / 'pretrain.py',
                                  checkpoint, work_dir / 'world')
    relative = relative_to_uniform(views.attention)
    parts = []
    for n, tile in enumerate(views.tiles):
        image = _shrink(views.pictures[n], 240)
        cells = [
            report.figure(
                paint_attention(image, views.attention[n, q].numpy()),
                f'query {q + 1}: {relative[n, q].min():.2f} to '
                f'{relative[n, q].max():.2f}')
            for q in range(views.attention.shape[1])
        ]
        if n == 0:
            parts += [report.grid(cells, 4)]
        else:
            parts += [f'<details><summary>Tile {tile}</summary>',
                      report.grid(cells, 4), '</details>']
    unit = torch.nn.functional.normalize(views.attention.flatten(2), dim=-1)
    count = unit.shape[1]
    overlap = float(((unit @ unit.transpose(1, 2)).sum((1, 2)) - count).mean()
                    / (count * (count - 1)))
    colours = principal_colours(views.fused)
    pairs = []
    for n, tile in enumerate(views.tiles):
        image = _shrink(views.pictures[n], 320)
        pairs += [report.figure(image, f'tile {tile}'),
                  report.figure(resize_nearest(colours[n], image.shape[:2]),
                                'fused features')]
    page.section(
        'What each query attends to', report.paragraph(
            f'Attention of the {count} queries of the pre-trained QSACL head '
            f'(teacher) over the fused map of test tile {views.tiles[0]}: '
            f'{views.dates["hr_rgb"]} high-resolution image, '
            f'{views.dates["s2_l2a"]} Sentinel-2-like and '
            f'{views.dates["s1_grd"]} Sentinel-1-like dates. Bright is more; '
            'each map is scaled to its own range, given below it as a '
            'multiple of an even look. Mean cosine of two maps: '
            f'{overlap:.2f} (1 = all alike)'
            + (': they have hardly parted' if overlap > 0.9 else '')
            + f', after {pretrain.train_cfg.max_iters} iterations without '
            'any label. The number of queries is the paper\'s.'),
        *parts, '<h3>Fused features as colours</h3>',
        report.paragraph('First three principal components of the '
                         'pre-trained, fused features; equal colours are '
                         'similar features in both tiles.'),
        report.grid(pairs, 4))


def _expert_section(page: report.Page, work_dir: Path,
                    segment: Config) -> None:
    world = work_dir / 'world'
    tile = varied_tiles(world, 'test', 1)[0]
    picture = read_picture(world / 'hr_rgb' / 'test' / f'{tile}.tif')
    maps, features = look_into_segmentor(
        work_dir / 'segment' / 'segment.py', work_dir / 'segment' /
        f'iter_{segment.train_cfg.max_iters}.pth', picture)
    image = _shrink(picture, _SIDE)
    cells = [report.figure(image, f'Test tile {tile}')]
    cells += [report.figure(_paint_experts(image, m), _describe(m))
              for m in maps]
    cells.append(report.figure(
        resize_nearest(principal_colours(features)[0], image.shape[:2]),
        'Stage 3 of the fine-tuned encoder: first three principal '
        'components as colours'))
    experts = maps[0].num_experts
    page.section(
        'Which expert each token takes', report.paragraph(
            f'The last {len(maps)} blocks of the encoder hold {experts} '
            'experts each; a linear gate sends every token to one of them '
            '(the paper: 8 experts in the last 6 blocks). Choices of the '
            'fine-tuned encoder; one square is one token.'),
        report.grid(cells, 2),
        report.legend([f'expert {i + 1}' for i in range(experts)],
                      PALETTE[:experts]))


def _paint_experts(image: np.ndarray, choices: ExpertMap) -> np.ndarray:
    colours = colour_classes(choices.choice[0].numpy(), PALETTE)
    return overlay(image, resize_nearest(colours, image.shape[:2]), 0.62)


def _describe(choices: ExpertMap) -> str:
    _, stage, _, block = choices.block.split('.')
    shares = ' / '.join(f'{100 * s:.0f}' for s in choices.shares())
    return (f'Stage {int(stage) + 1}, block {int(block) + 1}: experts take '
            f'{shares} % of the tokens')


def _repeat_section(page: report.Page, steps: list[dict[str, Any]]) -> None:
    rows = [[str(i), escape(s['title']), _clock(s['seconds']),
             _clock(s['cpu_seconds']),
             f"{s['peak_memory'] / 2**30:.1f} GiB" if s['peak_memory'] else
             'n/a'] for i, s in enumerate(steps, 1)]
    versions = []
    for name in ('torch', 'numpy', 'rasterio', 'scikit-learn',
                 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation'):
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            continue
    commands = '\n'.join(
        f"# {s['title']}\n" + '\n'.join(s['commands']) for s in steps)
    table = report.table(['', 'Step', 'Wall', 'CPU', 'Memory'], rows,
                         'steps')
    page.section(
        'What was done, and how to repeat it',
        table,
        report.paragraph(
            'Memory: largest sum over the step\'s processes, shared pages '
            'counted once.', 'note'),
        f'<pre>{escape(commands)}</pre>',
        report.paragraph(
            f'mmskysense {__version__}, Python {platform.python_version()}, '
            f'{", ".join(versions)}; {platform.system()} '
            f'{platform.machine()}, {os.cpu_count()} CPU cores, '
            f'{torch.cuda.device_count() or "no"} GPU.', 'note'))


def _classes(world: dict[str, Any]) -> tuple[list[str], list[list[int]]]:
    cover = world['land_cover']
    return cover['classes'], cover['palette']


def _shrink(picture: np.ndarray, side: int = _SIDE) -> np.ndarray:
    """Longest side at most ``side``; pictures smoothly, class maps not."""
    from PIL import Image
    factor = max(picture.shape[:2]) / side
    if factor <= 1:
        return picture
    size = (round(picture.shape[1] / factor), round(picture.shape[0] / factor))
    few = len(np.unique(picture.reshape(-1, 3)[::97], axis=0)) <= 16
    how = Image.Resampling.NEAREST if few else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize(size, how))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes} min {rest:02d} s' if minutes else f'{rest} s'
