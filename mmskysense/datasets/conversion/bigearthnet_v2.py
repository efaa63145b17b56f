# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Version 2 of BigEarthNet (reBEN): labels and splits in one table.

Clasen et al., arXiv 2407.03653. Patches lie in a folder for each Sentinel-2
tile, or Sentinel-1 scene; the labels already are the 19 classes.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmskysense.datasets.big_earth_net import NOMENCLATURE

from .bigearthnet_patches import find_folder, write_rasters
from .defects import Defects
from .errors import DataError
from .runner import ConversionItem, ItemResult

#: Recommended patches in each split; the table has no others.
SPLITS = dict(train=237871, val=122342, test=119825)
TABLE = 'metadata.parquet'
COLUMNS = ('patch_id', 'labels', 'split', 's1_name')
FLAGS = ('contains_seasonal_snow', 'contains_cloud_or_shadow')
_SPLIT_NAMES = dict(train='train', validation='val', test='test')
_CLASSES = {name: number for number, name in enumerate(NOMENCLATURE)}
_DAY = re.compile(r'_(\d{4})(\d\d)(\d\d)T\d{6}')


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of ``metadata.parquet`` with the columns that are used.

    Raises:
        ImportError: pyarrow is not installed.
        DataError: Damaged, or a column is missing.
    """
    try:
        parquet = importlib.import_module('pyarrow.parquet')
    except ImportError as error:
        raise ImportError(
            f"'{error.name}' is not installed but is needed for {path.name}: "
            'run `pip install pyarrow -c requirements/constraints.txt`'
        ) from error
    try:
        file = parquet.ParquetFile(path)
        names = file.schema_arrow.names
        missing = [name for name in COLUMNS if name not in names]
        if not missing:
            wanted = [name for name in (*COLUMNS, *FLAGS) if name in names]
            return file.read(columns=wanted).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors are these
        raise DataError(path, f'expected a table in Parquet, found {error}',
                        'download it again') from None
    raise DataError(path, f"expected the column '{missing[0]}', found "
                    f'{", ".join(names)}', 'download it again')


def find_items(root: Path, folder: Path, sensors: Sequence[str],
               defects: Defects | None = None
               ) -> tuple[list[ConversionItem], dict[str, int]]:
    """One item for each row of the table without snow, clouds or shadows.

    Args:
        root: Folder of the unpacked archives.
        folder: Folder of the table.
        sensors: ``s2_l2a``, ``s1_grd`` or both, in this order.
        defects: Takes bad rows; raises by default.

    Returns:
        The items, and split -> number of rows left out.

    Raises:
        DataError: The table is damaged, or a row is, or is there twice.
    """
    defects = defects or Defects()
    bases = {sensor: find_folder(root, sensor) for sensor in sensors}
    path = folder / TABLE
    items: list[ConversionItem] = []
    excluded = dict.fromkeys(SPLITS, 0)
    seen: dict[str, int] = {}
    for number, row in enumerate(read_table(path), 1):
        with defects.leave_out():
            item = _read_row(row, number, path, bases)
            if item.key in seen:
                raise DataError(path, f"row {number}: '{item.key}' is there "
                                f'twice, also in row {seen[item.key]}',
                                'remove one of them')
            seen[item.key] = number
            if any(row.get(flag) for flag in FLAGS):
                excluded[item.split] += 1
            else:
                items.append(item)
    return items, excluded


def _read_row(row: dict[str, Any], number: int, path: Path,
              bases: dict[str, Path]) -> ConversionItem:
    split = _SPLIT_NAMES.get(str(row['split']))
    if split is None:
        raise DataError(path, f'row {number}: expected a split among '
                        f"{', '.join(_SPLIT_NAMES)}, found "
                        f"'{row['split']}'", 'download it again')
    for name in ('patch_id', 's1_name'):
        if not isinstance(row[name], str):
            raise DataError(path, f'row {number}: expected a name as {name}, '
                            f'found {row[name]!r}', 'download it again')
    labels = row['labels'] or ()
    if not isinstance(labels, (list, tuple)) or not all(
            isinstance(label, str) for label in labels):
        raise DataError(path, f'row {number}: expected a list of labels, '
                        f'found {labels!r}', 'download it again')
    unknown = [label for label in labels if label not in _CLASSES]
    if unknown:
        raise DataError(path, f'row {number}: expected labels among the 19 '
                        f"classes, found '{unknown[0]}'", 'download it again')
    names = {'s2_l2a': row['patch_id'], 's1_grd': row['s1_name']}
    folders = {}
    for sensor, base in bases.items():
        # The tile's folder leaves off the two numbers of the patch; the
        # scene's leaves off the tile, too.
        parts = 2 if sensor == 's2_l2a' else 3
        name = str(names[sensor])
        folders[sensor] = base / name.rsplit('_', parts)[0] / name
    return ConversionItem(
        row['patch_id'], next(iter(folders.values())), split,
        dict(folders=folders,
             labels=sorted(_CLASSES[label] for label in labels)))


def convert_one(item: ConversionItem, out_dir: Path) -> ItemResult:
    """Write the rasters of one patch."""
    folders: dict[str, Path] = item.payload['folders']
    rasters = write_rasters(item.key, folders, out_dir)
    tile: dict[str, Any] = dict(id=item.key, split=item.split,
                                labels=item.payload['labels'])
    for sensor, name in rasters.files.items():
        tile[sensor] = [name]
        found = _DAY.search(folders[sensor].name)
        tile[f'{sensor}_dates'] = ['-'.join(found.groups())] if found else [
            None]
    return ItemResult(tuple(rasters.files.values()),
                      dict(tile=tile, bands=rasters.bands))
