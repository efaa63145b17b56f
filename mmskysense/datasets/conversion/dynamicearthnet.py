# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""DynamicEarthNet as published to one-band labels and an index."""

from __future__ import annotations

import functools
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from mmskysense.datasets.tile_index import INDEX_VERSION
from mmskysense.raster.open_files import open_raster

from .defects import Defects
from .errors import DataError
from .files import read_image, read_lines, write_geotiff, write_json
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import IGNORE
from .tiling import check_same_size
from .verification import keep_once, verify_counts

SPLITS = ('train', 'val', 'test')
#: Days of the month whose Planet images the authors use.
DAYS = {'first': ('01', ), 'weekly': ('01', '05', '10', '15', '20', '25')}
#: Bands of a label file; the last, snow and ice, is ignored by the authors.
LABEL_BANDS = 7
MONTHS = 24
#: Areas with public labels, and how many of them the authors say their lists
#: lack; users may have added those.
AREAS = 55
UNLISTED = 2
PLANET_BANDS = 4
#: Bands of the monthly composites.
SENTINEL_BANDS = {'s2_l2a': 12, 's1_grd': 8}
_ROWS = 256
_CUBE = re.compile(r'\d+_\d+_\d+')
_MONTH = re.compile(r'\d{4}-\d{2}')
_SENTINEL = {'s2_l2a': r'(?:sentinel[-_]?2|s2)\b',
             's1_grd': r'(?:sentinel[-_]?1|s1)\b'}


class MissingFileError(DataError):
    """A line of a list whose imagery or label is not in the download."""


@dataclass(frozen=True)
class Layout:
    """Where the parts of the download lie.

    Args:
        planet: Area -> folder of its daily images (``PF-SR``).
        sentinel: Sensor -> area -> folder of its monthly composites.
        labels: Area -> folder that holds its labels.
        splits: Split -> its list file.
    """

    planet: dict[str, Path]
    sentinel: dict[str, dict[str, Path]]
    labels: dict[str, Path]
    splits: dict[str, Path]


def find_layout(root: Path) -> Layout:
    """Look the parts up by the names of their folders, however unpacked.

    Raises:
        DataError: A split list, or all images or labels, are missing, or an
            area is there twice, or a list with other content.
    """
    layout = Layout({}, {sensor: {} for sensor in _SENTINEL}, {}, {})
    for folder, folders, files in os.walk(root):
        folders.sort()
        path = Path(folder)
        parts = path.relative_to(root).parts
        for split in SPLITS:
            if f'{split}.txt' in files:
                file = path / f'{split}.txt'
                first = layout.splits.setdefault(split, file)
                if file.read_bytes() != first.read_bytes():
                    raise DataError(file, 'expected one list of the split, '
                                    f'found another one in {first}',
                                    'remove one of them')
        if path.name == 'PF-SR':
            keep_once(layout.planet, path.parent.name, path)
            folders.clear()
        elif path.name == 'Labels' and len(parts) > 1:
            area = _CUBE.match(path.parent.name)
            if area:
                keep_once(layout.labels, area[0], path)
            folders.clear()
        elif path.name in ('PF-QA', 'Vector'):
            folders.clear()
        elif _CUBE.fullmatch(path.name):
            for sensor, pattern in _SENTINEL.items():
                if any(re.match(pattern, part, re.I) for part in parts):
                    keep_once(layout.sentinel[sensor], path.name, path)
    missing = [split for split in SPLITS if split not in layout.splits]
    if missing:
        raise DataError(
            root / f'{missing[0]}.txt', 'expected the published list of the '
            'split below the folder, found none',
            'download dynnet_training_splits too (docs/datasets)')
    for what, found in (('Planet images (.../AREA/PF-SR)', layout.planet),
                        ('labels (labels/AREA_ZONE/Labels)', layout.labels)):
        if not found:
            raise DataError(root, f'expected {what}, found none',
                            'complete the download and unpack its archives')
    return layout


def find_items(root: Path, days: str, partial: bool = False,
               defects: Defects | None = None) -> list[ConversionItem]:
    """One item for each month of the published lists.

    Lines are ``PLANET_FOLDER LABEL_FILE YYYY-MM``; folders are found by the
    name of their area, since the lists name another layout than the archives
    have.

    Args:
        root: Folder of the download.
        days: ``'first'``, ``'weekly'`` or ``'daily'``.
        partial: Leave months out whose files are not there.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: A line is malformed or there twice, or its area or label
            is missing.
    """
    defects = defects or Defects()
    layout = find_layout(root)
    items: dict[str, ConversionItem] = {}
    absent = 0
    for split in SPLITS:
        path = layout.splits[split]
        for number, line in read_lines(path):
            with defects.leave_out():
                try:
                    item = _read_line(layout, split, days, path, number, line)
                except MissingFileError:
                    if not partial:
                        raise
                    absent += 1
                    continue
                if item.key in items:
                    raise DataError(
                        path, f"'{item.key}' is there twice, also in split "
                        f"'{items[item.key].split}'", 'remove one of them',
                        number)
                items[item.key] = item
    if absent:
        print_log(f'{root}: {absent} months of the lists are left out, their '
                  'files are not there', 'current', logging.WARNING)
    return list(items.values())


def _read_line(layout: Layout, split: str, days: str, path: Path,
               number: int, line: str) -> ConversionItem:
    fields = line.split()
    month = fields[-1]
    area = _CUBE.search(fields[0]) if len(fields) == 3 else None
    if area is None or not _MONTH.fullmatch(month):
        raise DataError(path, "expected 'PLANET_FOLDER LABEL_FILE YYYY-MM', "
                        f"found '{line}'", 'download the list again', number)
    return ConversionItem(
        f'{area[0]}/{month}', _label(layout, area[0], month, path, number),
        split, _payload(layout, area[0], month, days, path, number))


def _label(layout: Layout, area: str, month: str, path: Path,
           line: int) -> Path:
    """The label of a month; day and month are joined by - or _."""
    folder = layout.labels.get(area)
    found = [] if folder is None else sorted(
        folder.glob(f'Raster/*/*{month.replace("-", "[-_]")}[-_]01.tif'))
    if len(found) != 1:
        # Two are no gap of a part: which one counts must be decided.
        error = DataError if found else MissingFileError
        raise error(
            path, f"names the label of area '{area}' in {month}, found "
            f'{len(found)} such files in {folder or "labels"}',
            'remove all but one' if found else
            'complete the download, or remove the line', line)
    return found[0]


def _payload(layout: Layout, area: str, month: str, days: str, path: Path,
             line: int) -> dict[str, Any]:
    """Files of all sensors of a month."""
    folder = layout.planet.get(area)
    names = [] if folder is None else sorted(
        file.name for file in folder.glob(f'{month}-*.tif'))
    if days != 'daily':
        names = [name for name in names if name[8:10] in DAYS[days]]
    if not names:
        raise MissingFileError(
            path, f"names area '{area}' in {month}, found no Planet image of "
            f'these days in {folder or "the download"}',
            'complete the download, or remove the line', line)
    assert folder is not None
    payload: dict[str, Any] = dict(
        area=area, month=month, planet=[folder / name for name in names])
    for sensor, folders in layout.sentinel.items():
        file = folders.get(area, Path()) / \
            f'{area}_{month.replace("-", "_")}.tif'
        payload[sensor] = file if file.is_file() else None
    return payload


def to_classes(bands: np.ndarray, file: Path) -> tuple[np.ndarray, int]:
    """Seven bands of 0 and 255 to class ids.

    Where several bands are set, the last one counts, as in the authors'
    code; where none is, the pixel is ignored (their code makes it class 0).

    Args:
        bands: (7, H, W).
        file: For messages.

    Returns:
        uint8 (H, W), 0 to 5 or 255; and how many pixels no band names.

    Raises:
        DataError: Another number of bands, or other values.
    """
    if bands.shape[0] != LABEL_BANDS:
        raise DataError(file, f'expected {LABEL_BANDS} bands, one a class, '
                        f'found {bands.shape[0]}', 'download it again')
    values = np.unique(bands)
    if not set(values.tolist()) <= {0, 255}:
        raise DataError(file, 'expected values 0 and 255, found '
                        f'{", ".join(str(v) for v in values[:5])}',
                        'download it again')
    label = np.full(bands.shape[1:], IGNORE, np.uint8)
    for number, band in enumerate(bands):
        label[band == 255] = IGNORE if number == LABEL_BANDS - 1 else number
    return label, int((bands == 0).all(0).sum())


def convert_one(item: ConversionItem, out_dir: Path) -> ItemResult:
    """Write the label of a month on Planet's grid; warp what is off it."""
    payload = item.payload
    for path in payload['planet']:
        check_whole(path, PLANET_BANDS)
        check_same_size(open_raster(str(payload['planet'][0])).shape,
                        open_raster(str(path)).shape,
                        str(payload['planet'][0]), str(path))
    reference = open_raster(str(payload['planet'][0]))
    label, unlabelled = to_classes(read_image(item.source), item.source)
    check_same_size(reference.shape, label.shape, str(payload['planet'][0]),
                    str(item.source))
    target = f'labels/{item.key}.tif'
    write_geotiff(out_dir / target, label[None], reference.crs,
                  reference.transform, IGNORE)
    values, counts = np.unique(label, return_counts=True)
    record: dict[str, Any] = dict(
        unlabelled=unlabelled,
        classes={
            str(v): int(c)
            for v, c in zip(values, counts, strict=True)
        },
        tile=dict(
            id=item.key, split=item.split, land_cover=target,
            planetscope=[
                _relative(path, out_dir) for path in payload['planet']
            ],
            planetscope_dates=[path.stem for path in payload['planet']]))
    outputs = [target]
    for sensor in _SENTINEL:
        source = payload[sensor]
        if source is None:
            continue
        check_whole(source, SENTINEL_BANDS[sensor])
        name = _on_grid(source, reference, out_dir, f'{sensor}/{item.key}.tif')
        if name is None:
            name = _relative(source, out_dir)
        else:
            outputs.append(name)
        record['tile'][sensor] = [name]
        # A composite of the month: its middle stands for its date.
        record['tile'][f'{sensor}_dates'] = [f'{payload["month"]}-15']
    return ItemResult(tuple(outputs), record)


def check_whole(path: Path, bands: int) -> None:
    """Decode an image once, a few rows at a time: it is used where it lies.

    Args:
        path: Image.
        bands: Number of bands it must have.

    Raises:
        DataError: Another number of bands.
        RasterContractError: It cannot be opened, or is damaged.
    """
    dataset = open_raster(str(path))
    if dataset.count != bands:
        raise DataError(path, f'expected {bands} bands, found '
                        f'{dataset.count}', 'download it again')
    for row in range(0, dataset.height, _ROWS):
        window = Window(0, row, dataset.width,
                        min(_ROWS, dataset.height - row))
        try:
            dataset.read(window=window)
        except RasterioError as error:
            raise DataError(path, f'expected a whole image, found {error} at '
                            f'row {row} or below', 'download it again'
                            ) from error


def _relative(path: Path, out_dir: Path) -> str:
    return os.path.relpath(os.path.abspath(path), os.path.abspath(out_dir))


def _on_grid(source: Path, reference: Any, out_dir: Path,
             target: str) -> str | None:
    """Warp a raster onto another's grid; None if it lies there already."""
    dataset = open_raster(str(source))
    if dataset.crs == reference.crs and dataset.shape == reference.shape \
            and dataset.transform.almost_equals(reference.transform, 1e-3):
        return None
    if dataset.crs is None or reference.crs is None:
        check_same_size(reference.shape, dataset.shape, reference.name,
                        str(source))
        return None
    with WarpedVRT(
            dataset, crs=reference.crs, transform=reference.transform,
            height=reference.height, width=reference.width,
            resampling=Resampling.bilinear,
            nodata=0 if dataset.nodata is None else dataset.nodata) as warped:
        write_geotiff(out_dir / target, warped.read(), reference.crs,
                      reference.transform, warped.nodata)
    return target


def _verify_areas(found: int, root: str, defects: Defects) -> None:
    """Refuse another number of areas; those left out may be missing."""
    lowest = AREAS - UNLISTED
    missing = (lowest - found) * MONTHS
    if found > AREAS or missing > defects.count:
        raise DataError(
            root, f'expected {lowest} to {AREAS} areas in the lists, found '
            f'{found}', 'complete the download, or accept a part of it with '
            '--partial')


def convert_dynamicearthnet(root: str, out: str, days: str = 'weekly',
                            workers: int = 1, skip_bad: bool = False,
                            partial: bool = False) -> ConversionReport:
    """Convert the download.

    See ``tools/dataset_converters/dynamicearthnet.py``. Imagery is not
    copied: the index names the files of the download, so keep it in place.

    Args:
        root: Folder of the unpacked archives and of the split lists.
        out: Folder to write, ``data_root`` of the configs.
        days: Planet images of a month: ``'first'``, ``'weekly'`` (six) or
            ``'daily'``.
        workers: Processes.
        skip_bad: List damaged months and go on.
        partial: Accept lists without all areas, or all 24 months of an area,
            and leave months out whose files are not there.

    Returns:
        The report; ``OUT/index.json`` is what the datasets read.

    Raises:
        ValueError: Unknown ``days``.
        DataError: The download is not as published.
    """
    if days not in ('first', 'weekly', 'daily'):
        raise ValueError(f"days='{days}': expected first, weekly or daily")
    defects = Defects(skip_bad)
    items = find_items(Path(root), days, partial, defects)
    areas: dict[str, set[str]] = {split: set() for split in SPLITS}
    for item in items:
        areas[item.split].add(item.payload['area'])
    verify_counts(
        items,
        {split: MONTHS * len(found)
         for split, found in areas.items()}, root, partial, defects)
    if not partial:
        _verify_areas(len(set().union(*areas.values())), root, defects)
    report = run_conversion(
        items, functools.partial(convert_one), out, workers, skip_bad,
        dict(days=days), 'DynamicEarthNet', defects)
    write_json(
        Path(out) / 'index.json',
        dict(
            version=INDEX_VERSION,
            tiles=[r.record['tile'] for r in report.results.values()]))
    return report
