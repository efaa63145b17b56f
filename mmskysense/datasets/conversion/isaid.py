# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""iSAID as published to overlapping tiles for mmseg's ``iSAIDDataset``."""

from __future__ import annotations

import functools
from pathlib import Path

from .defects import Defects
from .files import read_image, require_folder
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import Scene, summarise, write_tiles
from .tiling import TilePlan
from .verification import decode_colours, keep_once, match_files, verify_counts

#: Class id -> red, green, blue of the published semantic masks.
COLOURS: dict[int, tuple[int, int, int]] = {
    0: (0, 0, 0),
    1: (0, 0, 63),
    2: (0, 63, 63),
    3: (0, 63, 0),
    4: (0, 63, 127),
    5: (0, 63, 191),
    6: (0, 63, 255),
    7: (0, 127, 63),
    8: (0, 127, 127),
    9: (0, 0, 127),
    10: (0, 0, 191),
    11: (0, 0, 255),
    12: (0, 191, 127),
    13: (0, 127, 191),
    14: (0, 127, 255),
    15: (0, 100, 155)
}
CLASSES = ('background', 'ship', 'store_tank', 'baseball_diamond',
           'tennis_court', 'basketball_court', 'Ground_Track_Field', 'Bridge',
           'Large_Vehicle', 'Small_Vehicle', 'Helicopter', 'Swimming_pool',
           'Roundabout', 'Soccer_ball_field', 'plane', 'Harbor')
#: Published numbers of labelled images (Waqas Zamir et al., CVPRW 2019).
PUBLISHED = dict(train=1411, val=458)
LABEL_SUFFIX = '_instance_color_RGB.png'


def find_items(root: Path,
               defects: Defects | None = None) -> list[ConversionItem]:
    """Pair the images and semantic masks of both labelled splits.

    Images (DOTA's) and masks may lie anywhere below ``train`` and ``val``;
    the instance masks (``*_instance_id_RGB.png``) are not needed.

    Args:
        root: Folder of the download.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: A split is missing, a file has no partner or is there
            twice.
    """
    defects = defects or Defects()
    items = []
    for split in PUBLISHED:
        folder = require_folder(root / split, f'the {split} split')
        images: dict[str, Path] = {}
        labels: dict[str, Path] = {}
        for path in sorted(folder.rglob('P*.png')):
            if path.name.endswith('_instance_id_RGB.png'):
                continue
            is_label = path.name.endswith(LABEL_SUFFIX)
            found = labels if is_label else images
            name = path.name[:-len(LABEL_SUFFIX)] if is_label else path.stem
            with defects.leave_out():
                keep_once(found, name, path)
        for name in match_files(dict(image=images, label=labels), folder,
                                defects):
            items.append(
                ConversionItem(f'{split}/{name}', images[name], split,
                               (name, labels[name])))
    return items


def convert_one(item: ConversionItem, out_dir: Path,
                plan: TilePlan) -> ItemResult:
    """Cut one image and its mask."""
    name, label_path = item.payload
    image = read_image(item.source)
    if image.shape[0] == 1:  # a few of DOTA's images are grey
        image = image.repeat(3, axis=0)
    label = decode_colours(read_image(label_path), COLOURS, label_path)
    return write_tiles(
        Scene(image[:3], label), out_dir, item.split, name, plan,
        LABEL_SUFFIX, (str(item.source), str(label_path)))


def convert_isaid(root: str, out: str, size: int = 896, overlap: int = 384,
                  workers: int = 1, skip_bad: bool = False,
                  partial: bool = False) -> ConversionReport:
    """Convert the download; see ``tools/dataset_converters/isaid.py``.

    Args:
        root: Folder with ``train`` and ``val``.
        out: Folder to write, ``data_root`` of the config.
        size: Tile size in pixels; 896 as in mmseg.
        overlap: Overlap in pixels; 384 as in mmseg.
        workers: Processes.
        skip_bad: List damaged images and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report; a summary is in ``OUT/conversion.json``.
    """
    defects = Defects(skip_bad)
    items = find_items(Path(root), defects)
    verify_counts(items, PUBLISHED, root, partial, defects)
    report = run_conversion(
        items, functools.partial(convert_one, plan=TilePlan(size, overlap)),
        out, workers, skip_bad, dict(size=size, overlap=overlap), 'iSAID',
        defects)
    summarise(report, {item.key: item.split
                       for item in items}, out, 'iSAID', CLASSES)
    return report
