# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Write the index file of one's own archive of GeoTIFFs."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from mmskysense.raster.reader import RasterReader
from mmskysense.sensors import get_sensors

from .tile_index import INDEX_VERSION

_RASTERS = ('.tif', '.tiff', '.vrt', '.jp2', '.png', '.jpg', '.jpeg')
_DATE = re.compile(
    r'(?<!\d)((?:19|20)\d{2})[-_]?(0[1-9]|1[0-2])[-_]?'
    r'(0[1-9]|[12]\d|3[01])(?!\d)')
_TAGS = ('ACQUISITIONDATE', 'ACQUISITION_DATE', 'DATE_ACQUIRED', 'DATETIME',
         'TIFFTAG_DATETIME', 'SENSING_TIME')


def find_date(path: str, tags: Mapping[str, str] | None = None) -> str | None:
    """Acquisition date from a file name, else a folder name, else tags.

    Args:
        path: Path relative to the archive, such as ``tile/20230403.tif``.
        tags: Metadata tags of the file.

    Returns:
        ISO date, or None where there is none.
    """
    texts = list(reversed(Path(path).parts))
    upper = {key.upper(): value for key, value in (tags or {}).items()}
    texts += [upper[key].replace(':', '-') for key in _TAGS if key in upper]
    for text in texts:
        for match in _DATE.finditer(text.replace('T', ' ')):
            try:
                return date(*(int(part) for part in match.groups())
                            ).isoformat()
            except ValueError:
                continue
    return None


def _tile_identity(relative: Path, pattern: re.Pattern[str] | None) -> str:
    """Tile of a file: by pattern, else by its name without the date.

    ``0001.tif`` and ``0001_20230403.tif`` are tile 0001, and so is
    ``0001/20230403.tif``, whose name is nothing but a date.
    """
    if pattern is not None:
        match = pattern.search(relative.as_posix())
        if match is None:
            raise ValueError(
                f"{relative}: expected a tile id by the pattern "
                f"'{pattern.pattern}', found none; correct --tile-pattern")
        return match.group(1)
    stem = _DATE.sub('', relative.stem)
    stem = stem.strip('_-. ')
    return stem or relative.parent.name


def index_tiles(root: str | os.PathLike,
                sensors: Mapping[str, str],
                labels: Mapping[str, str] | None = None,
                tile_pattern: str | None = None,
                split: str | None = None,
                splits: tuple[str, ...] = ('train', 'val', 'test'),
                check: bool = True,
                output: str | os.PathLike | None = None) -> Path:
    """Write ``index.json`` for an archive with one folder for each sensor.

    Files of different folders belong to one tile when their names agree
    without dates (``hr/0001.tif``, ``s2/0001_20230403.tif`` or
    ``s2/0001/20230403.tif``). Dates come from file names, folder names or
    tags. A folder on the way that is called like a split names the split.

    Args:
        root: Archive; the index's paths are relative to it.
        sensors: Sensor -> its folder in the archive.
        labels: Key -> folder of label rasters, such as land_cover.
        tile_pattern: Regular expression whose first group, searched in the
            path relative to the sensor's folder, is the tile.
        split: Split of tiles whose path names none; ``'train'`` by default.
        splits: Folder names that are splits.
        check: Open every file and check its bands and data type.
        output: Index file; ``index.json`` in ``root`` by default. It must
            lie in ``root``.

    Returns:
        The index file, complete: it is written aside and renamed.

    Raises:
        FileNotFoundError: A folder is missing, or has no raster.
        RasterContractError: A file contradicts the sensor table.
        ValueError: No tile id by ``tile_pattern``, two labels for one tile,
            or a tile in two splits.
    """
    base = Path(root)
    output = Path(output) if output is not None else base / 'index.json'
    if output.resolve().parent != base.resolve():
        raise ValueError(f'{output}: the index must lie in the archive '
                         f'{base}, since its paths are relative to it')
    get_sensors(sensors)
    pattern = None if tile_pattern is None else re.compile(tile_pattern)
    tiles: dict[str, dict[str, Any]] = {}
    for key, folder in {**sensors, **(labels or {})}.items():
        for path in _rasters(base / folder):
            relative = path.relative_to(base / folder)
            named = [part for part in relative.parts[:-1] if part in splits]
            identity = _tile_identity(relative, pattern)
            tile = tiles.setdefault(identity, {'id': identity})
            if named and tile.setdefault('split', named[-1]) != named[-1]:
                raise ValueError(
                    f"{path}: tile '{identity}' is in split "
                    f"'{named[-1]}' and in '{tile['split']}'; tiles need "
                    'different names, or a --tile-pattern')
            name = path.relative_to(base).as_posix()
            if key in sensors:
                reader = RasterReader(path, key)
                day = find_date(relative.as_posix(),
                                reader.check_contract().tags()
                                if check else None)
                tile.setdefault(key, []).append((day or '', name))
            elif key in tile:
                raise ValueError(f"{path}: tile '{identity}' already has "
                                 f"{key} {tile[key]}; expected one label")
            else:
                tile[key] = name
    entries = [
        _entry(tile, tuple(sensors), split or 'train')
        for _, tile in sorted(tiles.items())
        if any(sensor in tile for sensor in sensors)
    ]
    _write_aside(output, {'version': INDEX_VERSION, 'tiles': entries})
    return output


def _rasters(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: expected a folder of rasters, '
                                'found none; correct SENSOR=FOLDER')
    files = sorted(path for path in folder.rglob('*')
                   if path.suffix.lower() in _RASTERS)
    if not files:
        raise FileNotFoundError(f'{folder}: expected rasters '
                                f'({", ".join(_RASTERS)}), found none')
    return files


def _entry(tile: dict[str, Any], sensors: tuple[str, ...],
           split: str) -> dict[str, Any]:
    """Order by date, and separate files from dates."""
    entry = {'id': tile['id'], 'split': tile.get('split', split)}
    for key, value in tile.items():
        if key in sensors:
            ordered = sorted(value)
            entry[key] = [name for _, name in ordered]
            entry[f'{key}_dates'] = [day or None for day, _ in ordered]
        elif key not in entry:
            entry[key] = value
    return entry


def _write_aside(path: Path, content: dict[str, Any]) -> None:
    """Write JSON beside its place, then rename: never half a file."""
    handle, aside = tempfile.mkstemp(
        dir=path.parent, prefix=path.name, suffix='.part')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            json.dump(content, file, indent=1)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
