# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Five-Billion-Pixels as published to tiles."""

from __future__ import annotations

import functools
from pathlib import Path

from .defects import Defects
from .errors import DataError
from .files import read_image, require_folder
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import IGNORE, Scene, summarise, write_tiles
from .tiling import TilePlan
from .verification import check_label_values, match_files, verify_counts

#: Band order in the two published versions of the images.
VERSIONS = {
    16: ('Image__16bit_BGRNir', ('blue', 'green', 'red', 'nir')),
    8: ('Image__8bit_NirRGB', ('nir', 'red', 'green', 'blue'))
}
LABELS = 'Annotation__index'
NUM_CLASSES = 24
#: The 30 scenes on which the authors test; the other 120 are for training.
TEST = frozenset(
    f'GF2_PMS{camera}__L1A000{number}-MSS{camera}' for camera, numbers in (
        (1, '1064454 1118839 1344822 1348919 1366278 1366284 1395956 1432972 '
         '1670888 1680857 1680858 1757429 1765574'),
        (2, '0607677 0607681 0718813 1038935 1038936 1119060 1367840 1378491 '
         '1378501 1396036 1396037 1416129 1471436 1517494 1591676 1787564 '
         '1821754')) for number in numbers.split())
PUBLISHED = dict(train=120, test=30)


def find_items(root: Path, bits: int,
               defects: Defects | None = None) -> list[ConversionItem]:
    """Pair images and index labels.

    Args:
        root: Folder of the download.
        bits: 16 or 8, the version of the images.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: A folder is missing, or a file has no partner.
    """
    folder = require_folder(root / VERSIONS[bits][0], f'{bits}-bit images')
    labels_folder = require_folder(root / LABELS, 'index labels')
    images = {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in ('.tif', '.tiff')
    }
    labels = {
        path.name[:-len('_24label.png')]: path
        for path in sorted(labels_folder.glob('*_24label.png'))
    }
    return [
        ConversionItem(name, images[name],
                       'test' if name in TEST else 'train', labels[name])
        for name in match_files(dict(image=images, label=labels), root,
                                defects)
    ]


def convert_one(item: ConversionItem, out_dir: Path, plan: TilePlan,
                bands: tuple[str, ...]) -> ItemResult:
    """Cut one scene; labels 1 to 24 become 0 to 23, 0 is ignored."""
    image = read_image(item.source)
    if image.shape[0] != len(bands):
        raise DataError(
            item.source, f'expected {len(bands)} bands ({", ".join(bands)}), '
            f'found {image.shape[0]}', 'download the file again')
    label = read_image(item.payload)
    if label.shape[0] != 1:
        raise DataError(item.payload, 'expected one band of class indices, '
                        f'found {label.shape[0]}', f'take {LABELS} of the '
                        'download')
    check_label_values(label, range(NUM_CLASSES + 1), item.payload)
    height, width = image.shape[1:]
    # Some labels reach beyond their image at the right and the bottom.
    if label.shape[1] >= height and label.shape[2] >= width:
        label = label[:, :height, :width]
    classes = label[0].astype('int16') - 1
    classes[classes < 0] = IGNORE
    return write_tiles(
        Scene(image, classes.astype('uint8'), descriptions=bands, nodata=0),
        out_dir, item.split, item.key, plan,
        names=(str(item.source), str(item.payload)),
        count_once=item.split != 'train')


def convert_fbp(root: str, out: str, size: int = 512, overlap: int = 128,
                bits: int = 16, workers: int = 1, skip_bad: bool = False,
                partial: bool = False) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/fbp.py``.

    Args:
        root: Folder with ``Image__16bit_BGRNir`` (or ``Image__8bit_NirRGB``)
            and ``Annotation__index``.
        out: Folder to write, ``data_root`` of the config.
        size: Tile size in pixels (ours).
        overlap: Overlap in pixels (ours).
        bits: 16 or 8, the published version of the images.
        workers: Processes.
        skip_bad: List damaged scenes and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report, and the summary that is also in ``OUT/conversion.json``.
    """
    from mmskysense.datasets.five_billion_pixels import (
        FiveBillionPixelsDataset,
    )
    defects = Defects(skip_bad)
    items = find_items(Path(root), bits, defects)
    verify_counts(items, PUBLISHED, root, partial, defects)
    report = run_conversion(
        items,
        functools.partial(
            convert_one, plan=TilePlan(size, overlap),
            bands=VERSIONS[bits][1]), out, workers, skip_bad,
        dict(size=size, overlap=overlap, bits=bits), 'Five-Billion-Pixels',
        defects)
    summary = summarise(report, {item.key: item.split for item in items}, out,
                        'Five-Billion-Pixels',
                        FiveBillionPixelsDataset.METAINFO['classes'],
                        VERSIONS[bits][1])
    return report, summary
