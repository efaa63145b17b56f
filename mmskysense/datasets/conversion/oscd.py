# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""OSCD (Onera) as published to pairs of Sentinel-2 tiles and an index."""

from __future__ import annotations

import functools
import re
from datetime import date
from pathlib import Path

import numpy as np
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from mmskysense.datasets.tile_index import INDEX_VERSION
from mmskysense.raster.grid import GridWindow
from mmskysense.sensors import get_sensor

from .band_files import BandStack, find_bands, read_bands
from .defects import Defects
from .errors import DataError
from .files import (
    read_image,
    read_lines,
    write_geotiff,
    write_json,
    write_png,
)
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import IGNORE, band_statistics
from .tiling import TilePlan, check_same_size, cut, cut_unseen, tile_name
from .verification import verify_counts

#: Published number of cities.
SPLITS = dict(train=14, test=10)
#: Registered images of the two dates, all bands on the 10 m grid.
IMAGES = ('imgs_1_rect', 'imgs_2_rect')
SENSOR = 's2_l2a'


def find_items(root: Path, partial: bool = False,
               defects: Defects | None = None) -> list[ConversionItem]:
    """One item a city; the split is the archive in which its label lies.

    The three archives' folders are found by the end of their names
    (``... Images``, ``... Train Labels``, ``... Test Labels``).

    Args:
        root: Folder with the three unpacked archives.
        partial: Leave cities without a label out.
        defects: Takes bad cities; raises by default.

    Raises:
        DataError: No images, a label without images or images without a
            label, or a city with two labels.
    """
    defects = defects or Defects()
    images: dict[str, Path] = {}
    labels: dict[str, tuple[str, Path]] = {}
    for archive in sorted(root.iterdir()) if root.is_dir() else ():
        name = re.sub(r'[ _-]+', ' ', archive.name).lower()
        for city in sorted(archive.iterdir()) if archive.is_dir() else ():
            if not city.is_dir():
                continue
            if name.endswith('images'):
                images[city.name] = city
            for split in SPLITS:
                if not name.endswith(f'{split} labels'):
                    continue
                if city.name in labels:
                    defects.add(DataError(
                        city, 'this city has another label in '
                        f'{labels[city.name][1].parent}',
                        'remove one of them'))
                    continue
                labels[city.name] = (split, city)
    if not images or not labels:
        raise DataError(root, "expected the folders '... Images', '... Train "
                        "Labels' and '... Test Labels' with one folder a "
                        'city, found none', 'unpack the three archives there')
    items = []
    for name, (split, folder) in sorted(labels.items()):
        with defects.leave_out():
            if name not in images:
                raise DataError(folder, 'expected the images of this city, '
                                'found none', 'complete the download')
            items.append(ConversionItem(name, _label_file(folder), split,
                                        images[name]))
    alone = sorted(set(images) - set(labels))
    for name in [] if partial else alone:
        defects.add(DataError(
            images[name], 'expected a label of this city, found none '
            f'({len(alone)} such cities)', 'complete the download, or accept '
            'a part of it with --partial'))
    return items


def _label_file(folder: Path) -> Path:
    """The label of a city: ``cm/cm.png``, else ``cm/CITY-cm.tif``."""
    candidates = (folder / 'cm' / 'cm.png',
                  folder / 'cm' / f'{folder.name}-cm.tif')
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(candidates[0], 'expected the label of this city, found '
                    f'none, nor {candidates[1].name}',
                    'complete the download')


def read_label(path: Path) -> np.ndarray:
    """Where something changed.

    Args:
        path: PNG with 0 and one other value, or TIFF with 1 and 2.

    Returns:
        uint8 (H, W), 1 = changed.

    Raises:
        DataError: Other values.
    """
    image = read_image(path)
    # Grey saved as colour: three equal bands, perhaps alpha.
    label = image[:3].max(0)
    values = np.unique(label).tolist()
    if path.suffix.lower() == '.png':
        low, wanted = 0, '0 and one other value'
    else:
        low, wanted = 1, '1 and 2'
    allowed = {low, 2} if low else {0, max(values)}
    if not set(values) <= allowed:
        shown = ', '.join(str(value) for value in values[:5])
        raise DataError(path, f'expected {wanted}, found {shown}',
                        'this is no label of OSCD, or it is damaged')
    return (label > low).astype(np.uint8)


def read_dates(city: Path) -> list[str | None]:
    """ISO dates of the two images, by ``dates.txt`` (``date_1: 20160120``).

    Raises:
        DataError: The file has no two dates.
    """
    path = city / 'dates.txt'
    if not path.is_file():
        return [None, None]
    days: list[str | None] = []
    for number, line in read_lines(path):
        try:
            digits = re.sub(r'\D', '', line.split()[-1])
            days.append(date(int(digits[:4]), int(digits[4:6]),
                             int(digits[6:])).isoformat())
        except ValueError:
            raise DataError(path, "expected a line such as 'date_1: "
                            f"20160120', found '{line}'",
                            'download the file again', number) from None
    if len(days) != 2:
        raise DataError(path, f'expected two dates, found {len(days)}',
                        'download the file again')
    return days


def convert_one(item: ConversionItem, out_dir: Path,
                plan: TilePlan) -> ItemResult:
    """Cut the two images and the label of one city."""
    entry = get_sensor(SENSOR)
    city: Path = item.payload
    pair = [read_bands(find_bands(city / folder, entry.band_names))
            for folder in IMAGES]
    label = read_label(item.source)
    shape = pair[0].image.shape[1:]
    for other, name in ((pair[1].image.shape[1:], str(city / IMAGES[1])),
                        (label.shape, str(item.source))):
        check_same_size(shape, other, str(city / IMAGES[0]), name)
    outputs = []
    shown = np.zeros(shape, bool)
    for window in plan.windows(*shape):
        name = tile_name(item.key, window)
        for number, stack in enumerate(pair, 1):
            outputs.append(f'{SENSOR}/{item.split}/{name}_{number}.tif')
            _write_image(stack, out_dir / outputs[-1], window)
        part = cut(label, window)
        if item.split != 'train':
            part = cut_unseen(label, window, shown, IGNORE)
        outputs.append(f'change/{item.split}/{name}.png')
        write_png(out_dir / outputs[-1], part)
    values = np.concatenate([stack.image.reshape(entry.num_bands, -1)
                             for stack in pair], 1).astype(np.float64)
    return ItemResult(
        tuple(outputs),
        dict(dates=read_dates(city), changed=int(label.sum()),
             pixels=int(label.size),
             bands=dict(count=values.shape[1], sum=values.sum(1).tolist(),
                        squares=(values**2).sum(1).tolist())))


def _write_image(stack: BandStack, path: Path, window: GridWindow) -> None:
    entry = get_sensor(SENSOR)
    place = stack.transform
    if place is not None:
        place = window_transform(Window(window.column, window.row, 1, 1),
                                 place)
    write_geotiff(path, cut(stack.image, window), stack.crs, place,
                  entry.nodata, entry.band_names)


def convert_oscd(root: str, out: str, size: int = 96, overlap: int = 0,
                 workers: int = 1, skip_bad: bool = False,
                 partial: bool = False) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/oscd.py``.

    Args:
        root: Folder of the three unpacked archives.
        out: Folder to write, ``data_root`` of the config.
        size: Tile size in pixels of 10 m.
        overlap: Overlap in pixels.
        workers: Processes.
        skip_bad: List damaged cities and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report, and a summary that is also in ``OUT/conversion.json``.
    """
    defects = Defects(skip_bad)
    items = find_items(Path(root), partial, defects)
    verify_counts(items, SPLITS, root, partial, defects)
    report = run_conversion(
        items, functools.partial(convert_one, plan=TilePlan(size, overlap)),
        out, workers, skip_bad, dict(size=size, overlap=overlap), 'OSCD',
        defects)
    splits = {item.key: item.split for item in items}
    tiles = []
    for city, result in report.results.items():
        for before, after, label in zip(*(result.outputs[n::3]
                                          for n in range(3)), strict=True):
            tiles.append({
                'id': Path(label).stem,
                'split': splits[city],
                'city': city,
                SENSOR: [before, after],
                f'{SENSOR}_dates': result.record['dates'],
                'change': label
            })
    write_json(Path(out) / 'index.json',
               dict(version=INDEX_VERSION, tiles=tiles))
    records = [result.record for result in report.results.values()]
    pixels = sum(record['pixels'] for record in records)
    chosen = [result.record['bands'] for city, result in
              report.results.items() if splits[city] == 'train']
    summary = dict(
        dataset='OSCD', tiles=len(tiles), bad=len(report.bad),
        changed_share=round(sum(record['changed'] for record in records) /
                            max(pixels, 1), 5),
        bands=list(get_sensor(SENSOR).band_names),
        **band_statistics(chosen or [record['bands'] for record in records]))
    write_json(Path(out) / 'conversion.json', summary)
    return report, summary
