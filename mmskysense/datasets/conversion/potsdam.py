# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""ISPRS Potsdam as published to tiles for mmseg's ``PotsdamDataset``."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np

from .defects import Defects
from .errors import DataError
from .files import read_image
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import Scene, summarise, write_tiles
from .tiling import TilePlan
from .verification import decode_colours, keep_once, match_files, verify_counts

#: Value in the labels -> colour; 0 is the eroded boundary, ignored by
#: ``PotsdamDataset`` (``reduce_zero_label``).
COLOURS: dict[int, tuple[int, int, int]] = {
    0: (0, 0, 0),
    1: (255, 255, 255),
    2: (0, 0, 255),
    3: (0, 255, 255),
    4: (0, 255, 0),
    5: (255, 255, 0),
    6: (255, 0, 0)
}
CLASSES = ('boundary', 'impervious_surface', 'building', 'low_vegetation',
           'tree', 'car', 'clutter')
#: The 24 tiles whose labels were given to the contest's participants.
TRAIN = ('2_10', '2_11', '2_12', '3_10', '3_11', '3_12', '4_10', '4_11',
         '4_12', '5_10', '5_11', '5_12', '6_7', '6_8', '6_9', '6_10', '6_11',
         '6_12', '7_7', '7_8', '7_9', '7_10', '7_11', '7_12')
#: The 14 tiles of the contest's evaluation.
VAL = ('2_13', '2_14', '3_13', '3_14', '4_13', '4_14', '4_15', '5_13', '5_14',
       '5_15', '6_13', '6_14', '6_15', '7_13')
#: Labels that were published with other colours than the six: of one the
#: colours were changed by lossy compression, in one cars are (252, 255, 0).
OFF_COLOUR = ('4_12', '6_7')
_IMAGE = re.compile(r'top_potsdam_(\d+_\d+)_RGB\.tif')
_LABEL = re.compile(r'top_potsdam_(\d+_\d+)_label(_noBoundary)?\.tif')


def find_items(root: Path, no_boundary: bool,
               defects: Defects | None = None) -> list[ConversionItem]:
    """Pair the orthophotos (RGB) and the labels anywhere below ``root``.

    Args:
        root: Folder of the download.
        no_boundary: Take the labels with eroded boundaries.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: A label or image is missing, or a tile is unknown or
            there twice.
    """
    defects = defects or Defects()
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for path in sorted(root.rglob('top_potsdam_*.tif')):
        found = images
        match = _IMAGE.fullmatch(path.name)
        if match is None:
            found = labels
            match = _LABEL.fullmatch(path.name)
            if match is None or bool(match[2]) != no_boundary:
                continue
        with defects.leave_out():
            if match[1] not in {*TRAIN, *VAL}:
                raise DataError(path, 'is none of the 38 tiles of Potsdam',
                                'remove it')
            keep_once(found, match[1], path)
    items = []
    for name in match_files(dict(image=images, label=labels), root, defects):
        items.append(
            ConversionItem(name, images[name],
                           'train' if name in TRAIN else 'val',
                           labels[name]))
    return items


def read_label(path: Path, name: str) -> np.ndarray:
    """Class values uint8 (H, W) of a coloured label."""
    colours = read_image(path)
    if name in OFF_COLOUR:
        # Each channel to the nearer of 0 and 255.
        colours = np.where(colours > 127, 255, 0).astype(np.uint8)
    return decode_colours(colours, COLOURS, path)


def convert_one(item: ConversionItem, out_dir: Path,
                plan: TilePlan) -> ItemResult:
    """Cut one orthophoto and its label."""
    image = read_image(item.source)
    if image.shape[0] != 3 or image.dtype != np.uint8:
        raise DataError(item.source, 'expected 3 bands of 8 bits, found '
                        f'{image.shape[0]} of {image.dtype}',
                        'take 2_Ortho_RGB of the download')
    label = read_label(item.payload, item.key)
    return write_tiles(
        Scene(image, label), out_dir, item.split, item.key, plan,
        names=(str(item.source), str(item.payload)))


def convert_potsdam(root: str, out: str, size: int = 512, overlap: int = 256,
                    no_boundary: bool = False, workers: int = 1,
                    skip_bad: bool = False,
                    partial: bool = False) -> ConversionReport:
    """Convert the download; see ``tools/dataset_converters/potsdam.py``.

    Args:
        root: Folder with the unpacked ``2_Ortho_RGB`` and labels.
        out: Folder to write, ``data_root`` of the config.
        size: Tile size in pixels; 512 as in mmseg.
        overlap: Overlap in pixels; 256 as in mmseg.
        no_boundary: Take the labels with eroded boundaries, whose black
            pixels are ignored.
        workers: Processes.
        skip_bad: List damaged scenes and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report; a summary is in ``OUT/conversion.json``.
    """
    defects = Defects(skip_bad)
    items = find_items(Path(root), no_boundary, defects)
    verify_counts(items, dict(train=len(TRAIN), val=len(VAL)), root, partial,
                  defects)
    report = run_conversion(
        items, functools.partial(convert_one, plan=TilePlan(size, overlap)),
        out, workers, skip_bad,
        dict(size=size, overlap=overlap, no_boundary=no_boundary), 'Potsdam',
        defects)
    summarise(report, {item.key: item.split
                       for item in items}, out, 'Potsdam', CLASSES)
    return report
