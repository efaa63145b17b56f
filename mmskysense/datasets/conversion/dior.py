# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""DIOR and DIOR-R as published to COCO JSON, or to DOTA's text files."""

from __future__ import annotations

import functools
import math
import os
import shutil
from collections import Counter
from pathlib import Path

from .changed_objects import ChangedObject, write_changed_objects
from .defects import Defects
from .errors import DataError
from .files import (
    atomic_path,
    read_image,
    read_lines,
    require_folder,
    write_json,
    write_text,
)
from .polygons import is_crossed, polygon_area, untangle
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .verification import verify_counts
from .xml_labels import read_xml_objects

#: In mmrotate's order; the files write some names with capitals.
CLASSES = ('airplane', 'airport', 'baseballfield', 'basketballcourt',
           'bridge', 'chimney', 'expressway-service-area',
           'expressway-toll-station', 'dam', 'golffield', 'groundtrackfield',
           'harbor', 'overpass', 'ship', 'stadium', 'storagetank',
           'tenniscourt', 'trainstation', 'vehicle', 'windmill')
#: Published numbers of images (Li et al., ISPRS Journal 2020).
PUBLISHED = dict(train=5862, val=5863, test=11738)
FOLDERS = dict(horizontal='Horizontal Bounding Boxes',
               oriented='Oriented Bounding Boxes')
LEFT_OUT = 'left out'
_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_CORNERS = tuple(f'{axis}_{corner}' for corner in (
    'left_top', 'right_top', 'right_bottom', 'left_bottom') for axis in 'xy')


def find_items(root: Path, boxes: str = 'horizontal',
               defects: Defects | None = None) -> list[ConversionItem]:
    """One item an image of the published lists.

    Args:
        root: Folder of the download.
        boxes: ``'horizontal'`` or ``'oriented'``.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: A list or folder is missing, or a number is listed twice.
    """
    defects = defects or Defects()
    labels = require_folder(root / 'Annotations' / FOLDERS[boxes],
                            f'{boxes} boxes')
    items: list[ConversionItem] = []
    seen: dict[str, str] = {}
    for split in PUBLISHED:
        listed = root / 'ImageSets' / 'Main' / f'{split}.txt'
        part = 'test' if split == 'test' else 'trainval'
        folder = require_folder(root / f'JPEGImages-{part}', f'{part} images')
        for line, name in read_lines(listed):
            if name in seen:
                defects.add(DataError(
                    listed, f"'{name}' is there twice, also in {seen[name]}",
                    'remove one of them', line))
                continue
            seen[name] = f'{split}.txt'
            items.append(ConversionItem(
                f'{split}/{name}', labels / f'{name}.xml', split,
                folder / f'{name}.jpg'))
    return items


def read_objects(path: Path, boxes: str = 'horizontal') -> list[dict]:
    """Objects of one XML file, as they are written.

    Args:
        path: The file.
        boxes: 'horizontal' (left, top, right, bottom) or 'oriented' (four
            corners, x before y).

    Returns:
        dict(label=id, difficult=0 or 1, box=pixels, number=, line=) of each
        object.

    Raises:
        DataError: No XML, an unknown class, or a box that is not complete.
    """
    tag, names = ('bndbox', _SIDES) if boxes == 'horizontal' else (
        'robndbox', _CORNERS)
    objects = []
    for number, line, entry in read_xml_objects(path):
        name = (entry.findtext('name') or '').strip()
        if name.lower() not in CLASSES:
            raise DataError(path, f"expected a class of DIOR, found '{name}' "
                            f'in object {number}', 'correct the file', line)
        try:
            box = [float(entry.findtext(f'{tag}/{side}') or 'nothing')
                   for side in names]
        except ValueError as error:
            raise DataError(
                path, f'expected {tag} with {", ".join(names)} in object '
                f'{number}, found {error}', 'download it again',
                line) from None
        if not all(map(math.isfinite, box)):
            raise DataError(path, f'expected numbers in object {number}, '
                            f'found {box}', 'correct the file', line)
        objects.append(dict(
            label=CLASSES.index(name.lower()), box=box, number=number,
            line=line,
            difficult=int((entry.findtext('difficult') or '0').strip() == '1')
        ))
    return objects


def placed_horizontal(box: list[float], height: int, width: int
                      ) -> tuple[list[float], str]:
    """The part of (left, top, right, bottom) inside the image.

    Returns:
        The box, and what was changed; empty if nothing was.
    """
    inside = [min(max(value, 0.0), float(limit)) for value, limit in zip(
        box, (width, height, width, height), strict=True)]
    if box[2] <= box[0] or box[3] <= box[1]:
        return inside, f'without area: {LEFT_OUT}'
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return inside, f'outside the image: {LEFT_OUT}'
    return inside, '' if inside == box else 'beyond the image: clipped'


def placed_oriented(box: list[float], height: int, width: int
                    ) -> tuple[list[float], str]:
    """Four corners in order; mmrotate trains on the whole box.

    Returns:
        The box, and what was changed; empty if nothing was.
    """
    ordered = untangle(box)
    if polygon_area(ordered) <= 0:
        return ordered, f'without area: {LEFT_OUT}'
    if not (0 <= sum(box[::2]) / 4 <= width
            and 0 <= sum(box[1::2]) / 4 <= height):
        return ordered, f'centre outside the image: {LEFT_OUT}'
    return ordered, 'sides cross: corners put in order' \
        if is_crossed(box) else ''


def convert_one(item: ConversionItem, out_dir: Path,
                boxes: str) -> ItemResult:
    """Check one image, link it, and note its valid objects."""
    shape = read_image(item.payload).shape
    if shape[0] != 3:
        raise DataError(item.payload, 'expected 3 bands, found '
                        f'{shape[0]}', 'download it again')
    height, width = shape[1:]
    kept, changed = [], []
    place = placed_horizontal if boxes == 'horizontal' else placed_oriented
    for found in read_objects(item.source, boxes):
        line, number = found.pop('line'), found.pop('number')
        found['box'], reason = place(found['box'], height, width)
        if reason:
            changed.append(ChangedObject(str(item.source), line, number,
                                         reason).as_record())
        kept += [] if reason.endswith(LEFT_OUT) else [found]
    part = 'test' if item.split == 'test' else 'trainval'
    outputs = [os.path.join('images', part, item.payload.name)]
    with atomic_path(out_dir / outputs[0]) as partial:
        try:
            os.link(item.payload.resolve(), partial)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(item.payload, partial)
    if boxes == 'oriented':
        outputs.append(os.path.join('labels', part,
                                    f'{item.payload.stem}.txt'))
        write_text(out_dir / outputs[1], ''.join(
            ' '.join(f'{value:g}' for value in found['box']) +
            f' {CLASSES[found["label"]]} {found["difficult"]}\n'
            for found in kept))
    return ItemResult(tuple(outputs), dict(
        height=height, width=width, objects=kept, changed=changed))


def coco(results: dict[str, ItemResult], part: str) -> dict:
    """COCO's dictionary of 'trainval' or 'test'; difficult is ``iscrowd``."""
    images: list[dict] = []
    annotations: list[dict] = []
    for result in results.values():
        name = Path(result.outputs[0])
        if name.parent.name != part:
            continue
        images.append(dict(id=len(images) + 1, file_name=name.name,
                           height=result.record['height'],
                           width=result.record['width']))
        for found in result.record['objects']:
            left, top, right, bottom = found['box']
            annotations.append(dict(
                id=len(annotations) + 1, image_id=images[-1]['id'],
                category_id=found['label'] + 1, iscrowd=found['difficult'],
                bbox=[left, top, right - left, bottom - top],
                area=(right - left) * (bottom - top)))
    return dict(images=images, annotations=annotations, categories=[
        dict(id=number, name=name) for number, name in enumerate(CLASSES, 1)])


def convert_dior(root: str, out: str, boxes: str = 'horizontal',
                 workers: int = 1, skip_bad: bool = False,
                 partial: bool = False) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/dior.py``.

    Args:
        root: Folder with ``Annotations``, ``ImageSets``, ``JPEGImages-*``.
        out: Folder to write, ``data_root`` of the config: ``images``, and
            ``{trainval,test}.json`` or ``labels``.
        boxes: 'horizontal' (DIOR) or 'oriented' (DIOR-R).
        workers: Processes.
        skip_bad: List damaged images and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report, and a summary that is also in ``OUT/conversion.json``.

    Raises:
        ValueError: Other ``boxes``.
        DataError: The download is not as published.
    """
    if boxes not in FOLDERS:
        raise ValueError(f"boxes='{boxes}': expected one of {list(FOLDERS)}")
    defects = Defects(skip_bad)
    items = find_items(Path(root), boxes, defects)
    verify_counts(items, PUBLISHED, root, partial, defects)
    report = run_conversion(
        items, functools.partial(convert_one, boxes=boxes), out, workers,
        skip_bad, dict(boxes=boxes), 'DIOR', defects)
    if boxes == 'horizontal':
        for part in ('trainval', 'test'):
            write_json(Path(out) / f'{part}.json', coco(report.results, part))
    records = [result.record for result in report.results.values()]
    counts = Counter(CLASSES[found['label']] for record in records
                     for found in record['objects'])
    summary = dict(dataset='DIOR', boxes=boxes, images=len(records),
                   objects=dict(counts), bad=len(report.bad),
                   changed_objects=write_changed_objects(
                       report.results.values(), out),
                   without_objects=sum(not record['objects']
                                       for record in records))
    write_json(Path(out) / 'conversion.json', summary)
    return report, summary
