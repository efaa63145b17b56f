# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""fMoW-Sentinel as published to an index; images stay where they are."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.datasets.fmow_sentinel import FILE_BANDS, FMoWSentinelDataset
from mmskysense.datasets.tile_index import INDEX_VERSION
from mmskysense.raster.reader import RasterReader
from mmskysense.sensors import get_sensor

from .defects import Defects
from .errors import DataError
from .files import require_folder, write_json
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import band_statistics
from .verification import verify_counts

#: Published number of images.
SPLITS = dict(train=712874, val=84939, test_gt=84966)
COLUMNS = ('category', 'location_id', 'image_id', 'timestamp')
SENSOR = 's2_l2a'


def find_items(root: Path,
               defects: Defects | None = None) -> list[ConversionItem]:
    """One item for each row of ``train.csv``, ``val.csv``, ``test_gt.csv``.

    Args:
        root: Folder of the download.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: No list or no images, or a row is malformed or there
            twice.
    """
    defects = defects or Defects()
    folder = require_folder(root / 'fmow-sentinel', 'images '
                            '(fmow-sentinel/SPLIT/CLASS)')
    items: list[ConversionItem] = []
    for split in SPLITS:
        for place in (root, folder):
            if (place / f'{split}.csv').is_file():
                items += _read_list(place / f'{split}.csv', folder, split,
                                    defects)
                break
    if not items:
        raise DataError(root, 'expected the lists train.csv, val.csv and '
                        'test_gt.csv, found none', 'download them too')
    return items


def _read_list(path: Path, folder: Path, split: str,
               defects: Defects) -> list[ConversionItem]:
    items: dict[str, ConversionItem] = {}
    with open(path, newline='', encoding='utf-8-sig') as file:
        rows = csv.DictReader(file)
        missing = [name for name in COLUMNS
                   if name not in (rows.fieldnames or ())]
        if missing:
            raise DataError(path, f'expected the columns {", ".join(COLUMNS)}'
                            f', found {", ".join(rows.fieldnames or ())}',
                            'download the list again', 1)
        for row in rows:
            with defects.leave_out():
                item = _read_row(row, path, rows.line_num, folder, split)
                if item.key in items:
                    raise DataError(
                        path, f"image '{item.key.partition('/')[2]}' is "
                        'listed twice', 'remove one of the rows',
                        rows.line_num)
                items[item.key] = item
    return list(items.values())


def _read_row(row: Mapping[str, str | None], path: Path, line: int,
              folder: Path, split: str) -> ConversionItem:
    category, location, image, time = (row[name] or '' for name in COLUMNS)
    if category not in FMoWSentinelDataset.METAINFO['classes']:
        raise DataError(path, 'expected one of the 62 categories, found '
                        f"'{category}'", 'download the list again', line)
    if not location.isdigit() or not image.isdigit():
        raise DataError(path, 'expected numbers of location and image, found '
                        f"'{location}' and '{image}'",
                        'download the list again', line)
    try:
        day = date.fromisoformat(time[:10]).isoformat()
    except ValueError:
        raise DataError(path, 'expected a time such as 2017-06-13T00:00:00Z, '
                        f"found '{time}'", 'download the list again',
                        line) from None
    stem = f'{category}_{location}'
    return ConversionItem(
        f'{split}/{stem}_{image}',
        folder / split / category / stem / f'{stem}_{image}.tif', split,
        dict(category=category, day=day))


def convert_one(item: ConversionItem, out_dir: Path) -> ItemResult:
    """Read one image as training will; nothing is written."""
    reader = RasterReader(item.source, SENSOR, bands=FILE_BANDS)
    values, valid = reader.read()
    measured = values[:, valid].astype(np.float64)
    classes = FMoWSentinelDataset.METAINFO['classes']
    tile: dict[str, Any] = {
        'id': item.key,
        'split': item.split,
        # Resolved, so that a linked download is found from OUT.
        SENSOR: [os.path.relpath(item.source.resolve(), out_dir.resolve())],
        f'{SENSOR}_dates': [item.payload['day']],
        'label': classes.index(item.payload['category']),
    }
    return ItemResult(
        (), dict(tile=tile,
                 # Rounded to 0.1 m, in degrees.
                 grid=[*valid.shape, *(round(bound, 6) for bound in
                                       reader.grid.bounds)],
                 bands=dict(count=measured.shape[1],
                            sum=measured.sum(1).round(3).tolist(),
                            squares=(measured**2).sum(1).round(3).tolist())))


def place_series(records: Sequence[Mapping[str, Any]]
                 ) -> tuple[list[dict[str, Any]], int]:
    """One tile for each place, with its images in order of time.

    Args:
        records: Of :func:`convert_one`, images with measured pixels.

    Returns:
        The tiles, and the number of images that were left out because their
        size or outline is not the most frequent one of their place: a series
        is on one grid.
    """
    places: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        places.setdefault(record['tile']['id'].rpartition('_')[0],
                          []).append(record)
    series, left_out = [], 0
    for name, images in places.items():
        grids = Counter(tuple(image['grid']) for image in images)
        grid = grids.most_common(1)[0][0]
        kept = sorted((image['tile'] for image in images
                       if tuple(image['grid']) == grid),
                      key=lambda tile: tile[f'{SENSOR}_dates'])
        left_out += len(images) - len(kept)
        series.append({
            'id': name,
            'split': kept[0]['split'],
            SENSOR: [path for tile in kept for path in tile[SENSOR]],
            f'{SENSOR}_dates': [day for tile in kept
                                for day in tile[f'{SENSOR}_dates']],
            'label': kept[0]['label'],
        })
    return series, left_out


def convert_fmow_sentinel(root: str, out: str, workers: int = 1,
                          skip_bad: bool = False, partial: bool = False
                          ) -> tuple[ConversionReport, dict]:
    """Check the download; see ``tools/dataset_converters/fmow_sentinel.py``.

    Args:
        root: Folder with ``fmow-sentinel`` and the lists.
        out: Folder to write, ``data_root`` of the config.
        workers: Processes.
        skip_bad: List damaged images and go on.
        partial: Accept other numbers of images than published.

    Returns:
        The report, and a summary that is also in ``OUT/conversion.json``;
        ``OUT/SPLIT.json`` (one image a sample) and
        ``OUT/SPLIT_series.json`` (one place) are what the dataset reads.
    """
    defects = Defects(skip_bad)
    items = find_items(Path(root), defects)
    verify_counts(items, SPLITS, root, partial, defects)
    report = run_conversion(
        items, convert_one, out, workers, skip_bad,
        dict(root=os.path.abspath(root)), 'fMoW-Sentinel', defects)
    records = [result.record for result in report.results.values()]
    classes = FMoWSentinelDataset.METAINFO['classes']
    summary: dict[str, Any] = dict(dataset='fMoW-Sentinel', splits={},
                                   bad=len(report.bad))
    for split in dict.fromkeys(item.split for item in items):
        own = [record for record in records
               if record['tile']['split'] == split]
        # Nothing can be learned from an image without one measured pixel.
        tiles = [record['tile'] for record in own if record['bands']['count']]
        series, other_grid = place_series(
            [record for record in own if record['bands']['count']])
        for name, entries in ((split, tiles), (f'{split}_series', series)):
            write_json(Path(out) / f'{name}.json',
                       dict(version=INDEX_VERSION, tiles=entries))
        counts = Counter(classes[tile['label']] for tile in tiles)
        summary['splits'][split] = dict(images=len(tiles),
                                        empty=len(own) - len(tiles),
                                        places=len(series),
                                        other_grid=other_grid,
                                        classes=dict(sorted(counts.items())))
    summary.update(bands=list(get_sensor(SENSOR).band_names),
                   **band_statistics([
                       record['bands'] for record in records
                       if record['tile']['split'] == 'train']))
    write_json(Path(out) / 'conversion.json', summary)
    return report, summary
