# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Write the index file of one's own archive of rasters or plain images."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from mmskysense.raster.band_contract import Grid, check_alignment
from mmskysense.raster.reader import RasterReader
from mmskysense.sensors import get_sensors

from .file_lists import resolve_lists
from .tile_index import INDEX_VERSION

#: Suffixes of files that are taken for rasters.
RASTER_SUFFIXES = ('.tif', '.tiff', '.vrt', '.jp2', '.png', '.jpg', '.jpeg')
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
                output: str | os.PathLike | None = None,
                lists: Mapping[str, str | os.PathLike] | None = None
                ) -> Path:
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
        check: Open every file and check its bands and data type, and that
            the sensors of a tile cover the same ground.
        output: Index file; ``index.json`` in ``root`` by default. It must
            lie in ``root``.
        lists: Split -> text file with one path a line, relative to a
            sensor's folder or to ``root``. Only these files are indexed, and
            the lists alone say what is in which split; label rasters of
            their tiles need not be listed.

    Returns:
        The index file, complete: it is written aside and renamed.

    Raises:
        FileNotFoundError: A folder or a listed file is missing, or a folder
            has no raster.
        RasterContractError: A file contradicts the sensor table, or another
            sensor's or date's file of its tile.
        ValueError: No tile id by ``tile_pattern``, two labels for one tile,
            a tile in two splits, or undated files of one name in different
            folders.
    """
    base = Path(root)
    output = Path(output) if output is not None else base / 'index.json'
    if output.resolve().parent != base.resolve():
        raise ValueError(f'{output}: the index must lie in the archive '
                         f'{base}, since its paths are relative to it')
    get_sensors(sensors)
    pattern = None if tile_pattern is None else re.compile(tile_pattern)
    if lists and split:
        raise ValueError(f"found --split '{split}' beside --list, which says "
                         'the split of every file; give one of them')
    listed = None if not lists else resolve_lists(base, sensors, lists)
    tiles: dict[str, dict[str, Any]] = {}
    grids: dict[str, Grid] = {}  # of the first file of each tile
    for key, folder in {**sensors, **(labels or {})}.items():
        pairs: list[tuple[Path, str | None]]
        if listed is not None and key in listed:
            pairs = list(listed[key])
        else:
            pairs = [(path, None) for path in _rasters(base / folder)]
        for path, given in pairs:
            relative = path.relative_to(base / folder)
            identity = _tile_identity(relative, pattern)
            tile = tiles.setdefault(identity, {'id': identity})
            if listed is None:
                named = [p for p in relative.parts[:-1] if p in splits]
                given = named[-1] if named else None
            if given and tile.setdefault('split', given) != given:
                raise ValueError(
                    f"{path}: tile '{identity}' is in split '{given}' and in "
                    f"'{tile['split']}'; tiles need different names, or a "
                    '--tile-pattern')
            name = path.relative_to(base).as_posix()
            if key in sensors:
                reader = RasterReader(path, key)
                day = find_date(relative.as_posix(),
                                reader.check_contract().tags()
                                if check else None)
                if check:
                    check_alignment([grids.setdefault(identity, reader.grid),
                                     reader.grid])
                others = tile.setdefault(key, [])
                if pattern is None:
                    _refuse_namesake(name, day, identity, others)
                others.append((day or '', name))
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


def _refuse_namesake(name: str, day: str | None, identity: str,
                     others: list[tuple[str, str]]) -> None:
    """Two classes with a 1.jpg each are two tiles, not two dates of one."""
    twin = next((other for known, other in others if not known), None)
    if day is None and twin is not None:
        raise ValueError(
            f"{name}: tile '{identity}' already has {twin}, and neither has a"
            " date; pass --tile-pattern '(.+)[.]' if they are different "
            "tiles (the path is the tile), or --tile-pattern "
            "'([^/]+)[.]' if they are two dates of one tile")


def _rasters(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: expected a folder of rasters, '
                                'found none; correct SENSOR=FOLDER')
    files = sorted(path for path in folder.rglob('*')
                   if path.suffix.lower() in RASTER_SUFFIXES)
    if not files:
        raise FileNotFoundError(f'{folder}: expected rasters '
                                f'({", ".join(RASTER_SUFFIXES)}), found none')
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
