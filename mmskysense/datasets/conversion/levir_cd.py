# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""LEVIR-CD as published to pairs of tiles and an index."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from .defects import Defects
from .errors import DataError
from .files import read_image, require_folder, write_json, write_png
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .tiling import TilePlan, check_same_size, cut, tile_name
from .verification import check_label_values, match_files, verify_counts

#: Published number of pairs, each of 1024 x 1024 pixels.
SPLITS = dict(train=445, val=64, test=128)
FOLDERS = ('A', 'B', 'label')


def find_items(root: Path,
               defects: Defects | None = None) -> list[ConversionItem]:
    """Triples ``SPLIT/A``, ``SPLIT/B``, ``SPLIT/label`` of equal names.

    Args:
        root: Folder of the download.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: No split, or an image without its partner or label.
    """
    items = []
    for split in SPLITS:
        if not (root / split).is_dir():
            continue
        files = {folder: {path.name: path for path in sorted(
            require_folder(root / split / folder, f'{folder} of {split}'
                           ).iterdir()) if path.suffix.lower() == '.png'}
            for folder in FOLDERS}
        names = match_files({
            'earlier image': files['A'], 'later image': files['B'],
            'label': files['label']}, root / split, defects)
        items += [
            ConversionItem(f'{split}/{name}', files['A'][name], split,
                           tuple(files[folder][name] for folder in FOLDERS))
            for name in names
        ]
    if not items:
        raise DataError(root, 'expected the folders train, val and test, '
                        'found none', 'unpack the archive there')
    return items


def convert_one(item: ConversionItem, out_dir: Path,
                plan: TilePlan) -> ItemResult:
    """Cut one pair and its label."""
    before, after, label = (read_image(path) for path in item.payload)
    for name, image, path in (('later image', after, item.payload[1]),
                              ('label', label, item.payload[2])):
        check_same_size(before.shape[1:], image.shape[1:], item.payload[0],
                        f'{path} ({name})')
    check_label_values(label[0], (0, 1, 255), item.payload[2])
    changed = (label[0] > 0).astype(np.uint8)
    stem = Path(item.payload[0]).stem
    outputs = []
    for window in plan.windows(*before.shape[1:]):
        name = tile_name(stem, window) + '.png'
        for folder, image in zip(FOLDERS, (before[:3], after[:3], changed),
                                 strict=True):
            target = os.path.join(item.split, folder, name)
            part = cut(image, window)
            write_png(out_dir / target,
                      part.transpose(1, 2, 0) if part.ndim == 3 else part)
            outputs.append(target)
    return ItemResult(tuple(outputs), dict(changed=int(changed.sum()),
                                           pixels=int(changed.size)))


def convert_levir_cd(root: str, out: str, size: int = 256, overlap: int = 0,
                     workers: int = 1, skip_bad: bool = False,
                     partial: bool = False) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/levir_cd.py``.

    Args:
        root: Folder of the unpacked archive.
        out: Folder to write, ``data_root`` of the config.
        size: Tile size in pixels.
        overlap: Overlap in pixels.
        workers: Processes.
        skip_bad: List damaged pairs and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report, and a summary that is also in ``OUT/conversion.json``.
    """
    defects = Defects(skip_bad)
    items = find_items(Path(root), defects)
    verify_counts(items, SPLITS, root, partial, defects)
    report = run_conversion(
        items, functools.partial(convert_one, plan=TilePlan(size, overlap)),
        out, workers, skip_bad, dict(size=size, overlap=overlap), 'LEVIR-CD',
        defects)
    tiles = []
    for result in report.results.values():
        for before, after, label in zip(*(result.outputs[n::3]
                                          for n in range(3)), strict=True):
            split = before.split(os.sep)[0]
            tiles.append(dict(
                id=f'{split}/{Path(before).stem}', split=split,
                hr_rgb=[before, after], hr_rgb_dates=[None, None],
                change=label))
    write_json(Path(out) / 'index.json', dict(version=1, tiles=tiles))
    pixels = sum(r.record['pixels'] for r in report.results.values())
    changed = sum(r.record['changed'] for r in report.results.values())
    summary = dict(dataset='LEVIR-CD', tiles=len(tiles), bad=len(report.bad),
                   changed_share=round(changed / max(pixels, 1), 5))
    write_json(Path(out) / 'conversion.json', summary)
    return report, summary
