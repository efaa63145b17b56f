# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""FAIR1M as published to overlapping tiles with DOTA's text files."""

from __future__ import annotations

import functools
import math
import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmskysense.raster.grid import GridWindow

from .changed_objects import ChangedObject, write_changed_objects
from .defects import Defects
from .errors import DataError
from .files import (
    read_image,
    require_folder,
    write_json,
    write_png,
    write_text,
)
from .polygons import is_crossed, polygon_area, share_inside, untangle
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .tiling import TilePlan, cut
from .verification import keep_once, match_files
from .xml_labels import read_xml_objects

#: Superclass -> names as the files spell them.
SUPERCLASSES = dict(
    ship=('Passenger Ship', 'Motorboat', 'Fishing Boat', 'Tugboat',
          'other-ship', 'Engineering Ship', 'Liquid Cargo Ship',
          'Dry Cargo Ship', 'Warship'),
    vehicle=('Small Car', 'Bus', 'Cargo Truck', 'Dump Truck',
             'other-vehicle', 'Van', 'Trailer', 'Tractor', 'Excavator',
             'Truck Tractor'),
    airplane=('Boeing737', 'Boeing747', 'Boeing777', 'Boeing787', 'ARJ21',
              'C919', 'A220', 'A321', 'A330', 'A350', 'other-airplane'),
    court=('Baseball Field', 'Basketball Court', 'Football Field',
           'Tennis Court'),
    road=('Roundabout', 'Intersection', 'Bridge'))
PUBLISHED_NAMES = tuple(
    name for names in SUPERCLASSES.values() for name in names)
#: Without blanks, which separate the columns of DOTA's text files.
CLASSES = tuple(name.replace(' ', '-') for name in PUBLISHED_NAMES)
_FOLDERS = dict(train='train', val='validation', test='test')
_LABELS = ('labelXml', 'labelXmls')
#: An object is one of a tile that shows this share of it (mmrotate's 0.7).
WHOLE = 0.7


@dataclass(frozen=True)
class OrientedObject:
    """One labelled object.

    Args:
        label: Index in :data:`CLASSES`.
        corners: x1 y1 ... x4 y4 in pixels of the image.
        number: 1-based number in the label file.
        line: 1-based line there.
        crossed: Whether sides crossed before the corners were put in order.
    """

    label: int
    corners: tuple[float, ...]
    number: int = 0
    line: int = 0
    crossed: bool = False


def _files(split_folder: Path, names: Sequence[str],
           suffix: str, defects: Defects) -> dict[str, Path]:
    """Stem -> file of all folders of one of these names, however deep."""
    found: dict[str, Path] = {}
    for folder in sorted(split_folder.rglob('*')):
        if folder.name not in names or not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() != suffix:
                continue
            with defects.leave_out():
                keep_once(found, path.stem, path)
    return found


def find_items(root: Path, partial: bool = False,
               defects: Defects | None = None) -> list[ConversionItem]:
    """One item an image; those of ``test`` have no labels.

    How many images a split has could not be verified, so numbers are not
    compared.

    Args:
        root: Folder with ``train``, ``validation`` and ``test``.
        partial: Do without the splits that are not there.
        defects: Takes files without a partner; raises by default.

    Raises:
        DataError: A split is missing or empty, an image has no label or a
            label no image, or a name is there twice in a split.
    """
    defects = defects or Defects()
    require_folder(root, 'the download')
    items: list[ConversionItem] = []
    for split, name in _FOLDERS.items():
        folder = root / name
        if not folder.is_dir():
            if partial:
                continue
            raise DataError(folder, f'expected the {name} split, found none',
                            'complete the download, or accept a part of it '
                            'with --partial')
        images = _files(folder, ('images', ), '.tif', defects)
        if not images:
            raise DataError(folder, "expected images/*.tif in it, found none",
                            'complete the download, or remove the folder and '
                            'accept a part of it with --partial')
        labels = {} if split == 'test' else _files(folder, _LABELS, '.xml',
                                                   defects)
        stems = sorted(images) if split == 'test' else match_files(
            dict(image=images, label=labels), folder, defects)
        items += [ConversionItem(f'{split}/{stem}', images[stem], split,
                                 labels.get(stem)) for stem in stems]
    return items


def read_objects(path: Path) -> list[OrientedObject]:
    """Objects of one XML file, corners in order around the box.

    Raises:
        DataError: No XML, an unknown class, corners that are not four
            points in pixels, or a box without area.
    """
    return [_object(path, number, line, entry)
            for number, line, entry in read_xml_objects(path, 'objects')]


def _object(path: Path, number: int, line: int,
            entry: ET.Element) -> OrientedObject:
    name = (entry.findtext('possibleresult/name') or '').strip()
    if name not in PUBLISHED_NAMES:
        raise DataError(path, f"expected a class of FAIR1M, found '{name}' in "
                        f'object {number}', 'correct the file', line)
    unit = (entry.findtext('coordinate') or 'pixel').strip()
    if unit != 'pixel':
        raise DataError(path, "expected coordinates in 'pixel', found "
                        f"'{unit}' in object {number}", 'correct the file',
                        line)
    texts = [point.text or '' for point in entry.iterfind('points/point')]
    try:
        points = [tuple(map(float, text.split(','))) for text in texts]
    except ValueError:
        points = []
    # The first point is repeated at the end.
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    if len(points) != 4 or not all(
            len(p) == 2 and all(map(math.isfinite, p)) for p in points):
        raise DataError(path, 'expected four corners "x,y" (and the first '
                        f'again) in object {number}, found {texts}',
                        'correct the file', line)
    read = [value for point in points for value in point]
    corners = untangle(read)
    if polygon_area(corners) <= 0:
        raise DataError(path, f'expected a box with area in object {number}, '
                        f'found {texts}', 'correct the file', line)
    return OrientedObject(PUBLISHED_NAMES.index(name), tuple(corners), number,
                          line, is_crossed(read))


def objects_of_tiles(objects: Sequence[OrientedObject],
                     windows: Sequence[GridWindow]
                     ) -> list[list[tuple[OrientedObject, bool]]]:
    """Which objects belong to which tiles.

    An object is one of every tile that shows 0.7 of it, as in mmrotate's
    splitting. Ours: one that no tile shows so much of (a long bridge) is one
    of the tile that shows most of those with its centre; and what a tile
    shows less of is marked, neither trained on nor counted, in place of
    being background.

    Args:
        objects: Of a whole image.
        windows: Tiles of it.

    Returns:
        For each window pairs of an object, its corners in the tile's pixels,
        and whether it is marked.
    """
    tiles: list[list[tuple[OrientedObject, bool]]] = [[] for _ in windows]
    sides = [(w.column, w.row, w.column + w.width, w.row + w.height)
             for w in windows]
    for entry in objects:
        xs, ys = entry.corners[::2], entry.corners[1::2]
        touched = [i for i, (left, top, right, bottom) in enumerate(sides)
                   if max(xs) > left and min(xs) < right
                   and max(ys) > top and min(ys) < bottom]
        shares = {i: share_inside(entry.corners, *sides[i]) for i in touched}
        shares = {i: share for i, share in shares.items() if share > 0}
        if not shares:
            continue
        x, y = sum(xs) / 4, sum(ys) / 4
        with_centre = [i for i in shares if sides[i][0] <= x <= sides[i][2]
                       and sides[i][1] <= y <= sides[i][3]]
        best = max(with_centre, key=lambda i: shares[i], default=None)
        for index, share in shares.items():
            left, top, _, _ = sides[index]
            own = share >= WHOLE or (
                index == best and max(shares.values()) < WHOLE)
            moved = tuple(value - (top if place % 2 else left)
                          for place, value in enumerate(entry.corners))
            tiles[index].append(
                (replace(entry, corners=moved), not own))
    return tiles


def convert_one(item: ConversionItem, out_dir: Path,
                plan: TilePlan) -> ItemResult:
    """Cut one image and its objects."""
    image = read_image(item.source)
    if len(image) == 1:
        image = image.repeat(3, axis=0)
    if len(image) != 3 or image.dtype != np.uint8:
        raise DataError(item.source, 'expected 3 bands of uint8, found '
                        f'{len(image)} of {image.dtype}', 'download it again')
    height, width = image.shape[1:]
    objects = [] if item.payload is None else read_objects(item.payload)
    windows = list(plan.windows(height, width))
    outputs: list[str] = []
    tiles = objects_of_tiles(objects, windows)
    for window, found in zip(windows, tiles, strict=True):
        # The name from which mmrotate's metric merges tiles.
        name = (f'{item.source.stem}__{plan.size}__'
                f'{window.column}___{window.row}')
        outputs.append(os.path.join('images', item.split, f'{name}.png'))
        write_png(out_dir / outputs[-1], cut(image, window).transpose(1, 2, 0))
        # Empty for test: mmrotate's dataset lists images by their labels.
        outputs.append(os.path.join('labels', item.split, f'{name}.txt'))
        write_text(out_dir / outputs[-1], ''.join(
            ' '.join(f'{value:g}' for value in entry.corners) +
            f' {CLASSES[entry.label]} {int(marked)}\n'
            for entry, marked in found))
    whole = GridWindow(0, 0, height, width)
    seen = [entry for entry, marked in objects_of_tiles(objects, [whole])[0]
            if not marked]
    counts = Counter(CLASSES[entry.label] for entry in seen)
    shown = {entry.number for entry in seen}
    changed = [
        ChangedObject(
            str(item.payload), entry.line, entry.number,
            'sides cross: corners put in order' if entry.number in shown else
            'outside the image: left out').as_record()
        for entry in objects if entry.crossed or entry.number not in shown]
    return ItemResult(tuple(outputs), dict(
        objects=counts, tiles=len(windows), changed=changed,
        outside=len(objects) - len(seen)))


def convert_fair1m(root: str, out: str, size: int = 1024, overlap: int = 200,
                   workers: int = 1, skip_bad: bool = False,
                   partial: bool = False) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/fair1m.py``.

    Args:
        root: Folder with ``train``, ``validation`` and ``test``.
        out: Folder to write, ``data_root`` of the config.
        size: Tile size in pixels.
        overlap: Overlap in pixels.
        workers: Processes.
        skip_bad: List damaged images and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report, and a summary that is also in ``OUT/conversion.json``.

    Raises:
        DataError: The download is not as published.
    """
    defects = Defects(skip_bad)
    items = find_items(Path(root), partial, defects)
    report = run_conversion(
        items, functools.partial(convert_one, plan=TilePlan(size, overlap)),
        out, workers, skip_bad, dict(size=size, overlap=overlap), 'FAIR1M',
        defects)
    splits = {item.key: item.split for item in items}
    summary: dict = dict(
        dataset='FAIR1M', bad=len(report.bad), splits={},
        changed_objects=write_changed_objects(report.results.values(), out))
    for key, result in report.results.items():
        entry = summary['splits'].setdefault(
            splits[key], dict(images=0, tiles=0, objects={}, outside=0))
        entry['images'] += 1
        entry['tiles'] += result.record['tiles']
        entry['outside'] += result.record['outside']
        for name, count in result.record['objects'].items():
            entry['objects'][name] = entry['objects'].get(name, 0) + count
    write_json(Path(out) / 'conversion.json', summary)
    return report, summary
