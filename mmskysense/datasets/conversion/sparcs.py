# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SPARCS as published to reflectance and label tiles."""

from __future__ import annotations

import functools
import math
import re
from pathlib import Path

import numpy as np

from mmskysense.raster.open_files import open_raster

from .defects import Defects
from .errors import DataError
from .files import read_image, read_lines
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import Scene, summarise, write_tiles
from .tiling import TilePlan
from .verification import (
    check_label_values,
    keep_once,
    match_files,
    verify_counts,
)

#: The 30 m reflective bands and their numbers in the ten-band files; the
#: eighth (panchromatic) and the tenth (thermal) are left out.
BANDS = {'B1': 1, 'B2': 2, 'B3': 3, 'B4': 4, 'B5': 5, 'B6': 6, 'B7': 7,
         'B9': 9}
NUM_CLASSES = 7
NUM_SCENES = 80
#: Every fifth scene in the order of names tests (ours: none is published).
TEST_EVERY = 5


def find_items(root: Path,
               defects: Defects | None = None) -> list[ConversionItem]:
    """Pair the data, masks and metadata of all scenes below ``root``.

    The mask is ``*_labels.tif`` (the authors' archive) or ``*_mask.png``
    (the archive of the US Geological Survey).

    Args:
        root: Folder of the download.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: A scene lacks its mask or its metadata.
    """
    defects = defects or Defects()
    data = _by_scene(root, '_data.tif', defects)
    masks = {**_by_scene(root, '_mask.png', defects),
             **_by_scene(root, '_labels.tif', defects)}
    metadata = _by_scene(root, '_mtl.txt', defects)
    # Counted before any is left out, so that no other changes its split.
    order = {name: number for number, name in enumerate(sorted(data))}
    names = match_files(dict(image=data, label=masks, metadata=metadata),
                        root, defects)
    return [
        ConversionItem(
            name, data[name],
            'test' if order[name] % TEST_EVERY == TEST_EVERY - 1 else 'train',
            (masks[name], metadata[name]))
        for name in names
    ]


def _by_scene(root: Path, suffix: str, defects: Defects) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(root.rglob(f'*{suffix}')):
        name = path.name[:-len(suffix)]
        with defects.leave_out():
            keep_once(found, name, path)
    return found


def read_metadata(path: Path) -> dict[str, float]:
    """Rescaling coefficients and sun elevation of an MTL file.

    Raises:
        DataError: A coefficient is missing or no number (with the line).
    """
    wanted = {'SUN_ELEVATION'}
    for number in BANDS.values():
        wanted |= {f'REFLECTANCE_MULT_BAND_{number}',
                   f'REFLECTANCE_ADD_BAND_{number}'}
    found: dict[str, float] = {}
    for line, text in read_lines(path):
        match = re.fullmatch(r'(\w+)\s*=\s*(.*)', text)
        if match and match[1] in wanted:
            try:
                found[match[1]] = float(match[2])
            except ValueError:
                raise DataError(path, f"expected a number of '{match[1]}', "
                                f"found '{match[2]}'",
                                'download the file again', line) from None
    missing = sorted(wanted - set(found))
    if missing:
        raise DataError(path, f"expected '{missing[0]}', found none",
                        'download the file again')
    return found


def to_reflectance(numbers: np.ndarray,
                   metadata: dict[str, float]) -> np.ndarray:
    """Digital numbers to top-of-atmosphere reflectance x 10000.

    (Mult * DN + Add) / sin(sun elevation), Landsat 8 Data Users Handbook.

    Args:
        numbers: uint16 (10, H, W); 0 is fill.
        metadata: Of :func:`read_metadata`.

    Returns:
        uint16 (8, H, W), bands :data:`BANDS`; fill stays 0, measured pixels
        are at least 1.
    """
    sine = math.sin(math.radians(metadata['SUN_ELEVATION']))
    result = np.zeros((len(BANDS), *numbers.shape[1:]), np.uint16)
    for place, number in enumerate(BANDS.values()):
        band = numbers[number - 1].astype(np.float64)
        value = (metadata[f'REFLECTANCE_MULT_BAND_{number}'] * band +
                 metadata[f'REFLECTANCE_ADD_BAND_{number}']) / sine
        value = np.clip(np.rint(1e4 * value), 1, 65535)
        result[place] = np.where(band > 0, value, 0)
    return result


def convert_one(item: ConversionItem, out_dir: Path,
                plan: TilePlan) -> ItemResult:
    """Rescale and cut one scene."""
    mask_path, metadata_path = item.payload
    numbers = read_image(item.source)
    if numbers.shape[0] != 10:
        raise DataError(item.source, 'expected the 10 bands of SPARCS, found '
                        f'{numbers.shape[0]}', 'download the file again')
    label = read_image(mask_path)[0]
    check_label_values(label, range(NUM_CLASSES), mask_path)
    dataset = open_raster(str(item.source))
    image = to_reflectance(numbers, read_metadata(metadata_path))
    return write_tiles(
        Scene(image, label.astype(np.uint8), dataset.crs, dataset.transform,
              tuple(BANDS), 0), out_dir, item.split, item.key, plan,
        names=(str(item.source), str(mask_path)),
        count_once=item.split != 'train')


def convert_sparcs(root: str, out: str, size: int = 512, overlap: int = 24,
                   workers: int = 1, skip_bad: bool = False,
                   partial: bool = False) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/sparcs.py``.

    Args:
        root: Folder of the unpacked archive.
        out: Folder to write, ``data_root`` of the config.
        size: Tile size in pixels (ours: four tiles a scene).
        overlap: Overlap in pixels.
        workers: Processes.
        skip_bad: List damaged scenes and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report, and the summary that is also in ``OUT/conversion.json``.
    """
    from mmskysense.datasets.sparcs import SPARCSDataset
    defects = Defects(skip_bad)
    items = find_items(Path(root), defects)
    test = NUM_SCENES // TEST_EVERY
    verify_counts(items, dict(train=NUM_SCENES - test, test=test), root,
                  partial, defects)
    report = run_conversion(
        items, functools.partial(convert_one, plan=TilePlan(size, overlap)),
        out, workers, skip_bad, dict(size=size, overlap=overlap), 'SPARCS',
        defects)
    summary = summarise(report, {item.key: item.split for item in items}, out,
                        'SPARCS', SPARCSDataset.METAINFO['classes'],
                        tuple(BANDS))
    return report, summary
