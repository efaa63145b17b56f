# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tiles of a scene in the layout of mmseg, and what they hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from mmskysense.sensors import get_sensor

from .files import write_geotiff, write_json, write_png
from .runner import ConversionReport, ItemResult
from .tiling import TilePlan, check_same_size, cut, cut_unseen, tile_name

#: Label value of pixels that do not count.
IGNORE = 255
_ROWS = 512


@dataclass(frozen=True)
class Scene:
    """An image and its label in memory.

    Args:
        image: (C, H, W), any dtype.
        label: uint8 (H, W) of class ids, or None.
        crs: Of the image, or None.
        transform: Of the image, or None.
        descriptions: Names of the bands; empty for R, G, B.
        nodata: Value that fills all bands where nothing was measured.
    """

    image: np.ndarray
    label: np.ndarray | None
    crs: Any = None
    transform: Any = None
    descriptions: tuple[str, ...] = ()
    nodata: float | None = None


def write_tiles(scene: Scene,
                out_dir: Path,
                split: str,
                stem: str,
                plan: TilePlan | None = None,
                label_suffix: str = '.png',
                names: Sequence[str] = ('image', 'label'),
                count_once: bool = False) -> ItemResult:
    """Cut a scene and write ``img_dir/SPLIT`` and ``ann_dir/SPLIT``.

    Three bands of 8 bits become PNG, anything else a GeoTIFF that keeps its
    place on the ground and its bands' names.

    Args:
        scene: What to write.
        out_dir: Output folder.
        split: Folder below ``img_dir`` and ``ann_dir``.
        stem: Name of the scene.
        plan: Tiles; None writes the scene as one file named ``stem``.
        label_suffix: Ending of label files.
        names: Image and label file, for the message if their sizes differ.
        count_once: Ignore pixels that an earlier tile has shown, for splits
            that a metric counts.

    Returns:
        The files, and a record of pixels by class and of band sums.

    Raises:
        ValueError: Image and label differ in size.
    """
    height, width = scene.image.shape[1:]
    if scene.label is not None:
        check_same_size((height, width), scene.label.shape, names[0],
                        names[1])
    plain = scene.image.dtype == np.uint8 and len(scene.image) == 3
    outputs = []
    seen = np.zeros((height, width), bool)
    windows = (plan or TilePlan(max(height, width))).windows(height, width)
    for window in windows:
        name = stem if plan is None else tile_name(stem, window)
        image = cut(scene.image, window)
        target = os.path.join('img_dir', split,
                              name + ('.png' if plain else '.tif'))
        if plain:
            write_png(out_dir / target, image.transpose(1, 2, 0))
        else:
            place = scene.transform
            if place is not None:
                place = window_transform(
                    Window(window.column, window.row, 1, 1), place)
            write_geotiff(out_dir / target, image, scene.crs, place,
                          scene.nodata, scene.descriptions)
        outputs.append(target)
        if scene.label is not None:
            target = os.path.join('ann_dir', split, name + label_suffix)
            write_png(out_dir / target, cut_unseen(
                scene.label, window, seen, IGNORE) if count_once else
                cut(scene.label, window))
            outputs.append(target)
    return ItemResult(tuple(outputs), _record(scene))


def _record(scene: Scene) -> dict[str, Any]:
    """Pixels by class; count, sum and sum of squares by band."""
    record: dict[str, Any] = {}
    if scene.label is not None:
        counts = np.bincount(scene.label.ravel())
        record['classes'] = {
            str(value): int(counts[value])
            for value in np.flatnonzero(counts)
        }
    bands = len(scene.image)
    count, total, squares = 0, np.zeros(bands), np.zeros(bands)
    # A few rows at a time: a Gaofen-2 scene has 200 million values.
    for row in range(0, scene.image.shape[1], _ROWS):
        rows = scene.image[:, row:row + _ROWS]
        measured = np.isfinite(rows).all(0)
        if scene.nodata is not None:
            measured &= (rows != scene.nodata).any(0)
        values = rows[:, measured].astype(np.float64)
        count += int(measured.sum())
        total += values.sum(1)
        squares += (values**2).sum(1)
    record['bands'] = dict(
        count=count, sum=total.tolist(), squares=squares.tolist())
    return record


def summarise(report: ConversionReport,
              splits: Mapping[str, str],
              out_dir: str | os.PathLike,
              dataset: str,
              classes: Sequence[str] = (),
              bands: Sequence[str] = ('R', 'G', 'B'),
              statistics_split: str = 'train') -> dict[str, Any]:
    """Write ``conversion.json``: counts, pixels by class, band statistics.

    Args:
        report: Of :func:`run_conversion` over :func:`write_tiles`.
        splits: Item -> split.
        out_dir: Output folder.
        dataset: Name, for the reader of the file.
        classes: Names in order of the ids in the labels.
        bands: Names in order of the files.
        statistics_split: Split whose mean and deviation are given; all
            splits if it has no item.

    Returns:
        What was written.
    """
    summary: dict[str, Any] = dict(
        dataset=dataset, splits={}, bands=list(bands))
    chosen = [key for key in report.results
              if splits[key] == statistics_split] or list(report.results)
    for key, result in report.results.items():
        entry = summary['splits'].setdefault(
            splits[key], dict(items=0, images=0, pixels={}))
        entry['items'] += 1
        entry['images'] += sum(
            name.startswith('img_dir') for name in result.outputs)
        for value, count in result.record.get('classes', {}).items():
            name = classes[int(value)] if int(value) < len(classes) else \
                'ignored'
            entry['pixels'][name] = entry['pixels'].get(name, 0) + count
    summary.update(band_statistics(
        [report.results[key].record['bands'] for key in chosen]))
    summary['bad'] = len(report.bad)
    write_json(Path(out_dir) / 'conversion.json', summary)
    return summary


def band_statistics(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of each band over many images.

    Args:
        records: dict(count, sum, squares) of each image.

    Returns:
        dict(mean=[...], std=[...]), rounded to four digits after the point;
        empty lists where nothing was measured.
    """
    count = sum(record['count'] for record in records)
    if not count:
        return dict(mean=[], std=[])
    mean = np.sum([record['sum'] for record in records], axis=0) / count
    squares = np.sum([record['squares'] for record in records], 0) / count
    std = np.sqrt(np.maximum(squares - mean**2, 0))
    return dict(mean=mean.round(4).tolist(), std=std.round(4).tolist())


def statistics_options(summary: Mapping[str, Any], sensor: str) -> str:
    """Band statistics as options of ``tools/train.py``.

    Args:
        summary: Of :func:`summarise`.
        sensor: Name in the sensor table; its bands, in its order, are given.

    Raises:
        KeyError: The files lack a band of the sensor.
    """
    entry = get_sensor(sensor)
    places: dict[int, int] = {}
    for place, name in enumerate(summary['bands']):
        # A file may have bands that the sensor does not use.
        if any(band.is_named(name) for band in entry.bands):
            places[entry.band_index(name)] = place
    order = [places[index] for index in range(entry.num_bands)]

    def numbers(values: Sequence[float]) -> str:
        return '[' + ','.join(f'{values[place]:g}' for place in order) + ']'

    return (f'model.data_preprocessor.mean="{numbers(summary["mean"])}" '
            f'model.data_preprocessor.std="{numbers(summary["std"])}"')
