# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""AIR-PolSAR-Seg as published to four-band images in decibel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
from .tiling import check_same_size
from .verification import decode_colours, match_files, verify_total

BANDS = ('HH', 'HV', 'VH', 'VV')
COLOURS: dict[int, tuple[int, int, int]] = {
    0: (0, 0, 255),
    1: (0, 255, 0),
    2: (0, 255, 255),
    3: (255, 0, 0),
    4: (255, 255, 0),
    5: (255, 255, 255),
    IGNORE: (0, 0, 0)
}
SPLITS = dict(train='train_set', test='test_set')
#: Published number of patches of both splits together.
NUM_PATCHES = 500


def find_items(root: Path,
               defects: Defects | None = None) -> list[ConversionItem]:
    """Group the four polarisations and the label of each patch.

    Args:
        root: Folder of the download.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: A split, a polarisation or a label is missing.
    """
    items = []
    for split, name in SPLITS.items():
        folder = require_folder(root / name, f'the {split} split')
        bands = {
            band: {
                path.name[:-len(f'_{band}.tiff')]: path
                for path in sorted(folder.glob(f'*_{band}.tiff'))
            }
            for band in BANDS
        }
        labels = {
            path.name[:-len('_gt.png')]: path
            for path in sorted(folder.glob('*_gt.png'))
        }
        for patch in match_files({**bands, 'label': labels}, folder, defects):
            items.append(
                ConversionItem(f'{split}/{patch}', bands['HH'][patch], split,
                               (patch, [bands[b][patch] for b in BANDS],
                                labels[patch])))
    return items


def to_decibel(amplitude: np.ndarray) -> np.ndarray:
    """Amplitudes to 20 * log10, float32; not calibrated, so not sigma0.

    Args:
        amplitude: Any real dtype and shape; values of 0 and below, and NaN,
            become NaN (not measured).
    """
    amplitude = amplitude.astype(np.float32)
    measured = np.isfinite(amplitude) & (amplitude > 0)
    result = np.full(amplitude.shape, np.nan, np.float32)
    result[measured] = 20 * np.log10(amplitude[measured])
    return result


def convert_one(item: ConversionItem, out_dir: Path) -> ItemResult:
    """Stack one patch."""
    patch, paths, label_path = item.payload
    stack: list[np.ndarray] = []
    for path in paths:
        band = read_image(path)
        if band.shape[0] != 1 or band.dtype.kind == 'c':
            raise DataError(path, 'expected one band of amplitudes, found '
                            f'{band.shape[0]} of {band.dtype}',
                            'take AIR-PolSAR-Seg, not version 2.0')
        if stack:
            check_same_size(stack[0].shape, band[0].shape, str(paths[0]),
                            str(path))
        stack.append(band[0])
    label = decode_colours(read_image(label_path), COLOURS, label_path)
    return write_tiles(
        Scene(to_decibel(np.stack(stack)), label, descriptions=BANDS,
              nodata=float('nan')), out_dir, item.split, patch,
        names=(str(paths[0]), str(label_path)))


def convert_air_polsar_seg(root: str, out: str, workers: int = 1,
                           skip_bad: bool = False,
                           partial: bool = False
                           ) -> tuple[ConversionReport, dict]:
    """Convert the download.

    See ``tools/dataset_converters/air_polsar_seg.py``.

    Args:
        root: Folder with ``train_set`` and ``test_set``.
        out: Folder to write, ``data_root`` of the config.
        workers: Processes.
        skip_bad: List damaged patches and go on.
        partial: Accept a part of the dataset.

    Returns:
        The report, and the summary that is also in ``OUT/conversion.json``.
    """
    from mmskysense.datasets.air_polsar_seg import AIRPolSARSegDataset
    defects = Defects(skip_bad)
    items = find_items(Path(root), defects)
    verify_total(len(items), NUM_PATCHES, 'patches of both splits', root,
                 partial, defects)
    report = run_conversion(items, convert_one, out, workers, skip_bad,
                            title='AIR-PolSAR-Seg', defects=defects)
    summary = summarise(report, {item.key: item.split for item in items}, out,
                        'AIR-PolSAR-Seg',
                        AIRPolSARSegDataset.METAINFO['classes'],
                        BANDS)
    return report, summary
