# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The index file that names the tiles of an archive and their rasters.

Format, version 1 (ours); paths are relative to the index file::

    {"version": 1, "tiles": [
      {"id": "0001", "split": "train",
       "hr_rgb": ["hr_rgb/train/0001.tif"], "hr_rgb_dates": ["2023-06-11"],
       "s2_l2a": ["s2_l2a/train/0001/20230403.tif", ...],
       "s2_l2a_dates": ["2023-04-03", ...],
       "land_cover": "land_cover/train/0001.tif",
       "location": [5.02, 47.31]}]}

``location`` is optional: longitude and latitude of the tile's centre in
degrees, for archives of images that do not say where they lie.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmskysense.raster.band_contract import RasterContractError
from mmskysense.raster.reader import RasterReader

INDEX_VERSION = 1


def read_index(path: str) -> list[dict[str, Any]]:
    """Read the entries of an index file.

    Args:
        path: JSON file.

    Returns:
        The list under ``tiles``, checked for its form, not for its files.

    Raises:
        FileNotFoundError: No such index.
        ValueError: Not JSON (with the line), or not an index.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: expected an index file, found none; write one with '
            'tools/dataset_converters/build_index.py, or make the sample '
            'world with tools/make_sample_data.py')
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{path}, line {error.lineno}, column {error.colno}: expected '
            f'JSON, found {error.msg}; correct or rebuild the index'
        ) from None
    tiles = content.get('tiles') if isinstance(content, dict) else None
    if not isinstance(tiles, list) or content.get('version') != INDEX_VERSION:
        raise ValueError(
            f'{path}: expected {{"version": {INDEX_VERSION}, "tiles": [...]}}'
            ', found another structure; rebuild the index with '
            'tools/dataset_converters/build_index.py')
    for number, tile in enumerate(tiles):
        if not isinstance(tile, dict) or 'id' not in tile:
            raise ValueError(f'{path}: expected tiles[{number}] to be an '
                             'object with "id", found something else')
    return tiles


def tile_paths(index: str, tile: Mapping[str, Any],
               sensor: str) -> tuple[list[str], list[str | None]]:
    """Files of one sensor of a tile, as full paths, and their dates.

    Raises:
        ValueError: The numbers of files and dates differ.
    """
    root = os.path.dirname(os.path.abspath(index))
    files = tile.get(sensor) or []
    files = [files] if isinstance(files, str) else files
    days = tile.get(f'{sensor}_dates') or [None] * len(files)
    if len(days) != len(files):
        raise ValueError(
            f"{index}: tile '{tile['id']}' has {len(files)} files of "
            f"'{sensor}' but {len(days)} dates; expected one date (or null) "
            'for each file')
    return [os.path.join(root, name) for name in files], list(days)


def check_files(index: str, files: Iterable[tuple[str, str | None]],
                how: str | bool,
                options: Mapping[str, Mapping[str, Any]] | None = None
                ) -> None:
    """Make sure that training will find its files, before it starts.

    Args:
        index: What named the files, for messages.
        files: Pairs of a path and its sensor (None for a label).
        how: ``'exists'`` looks only; ``'open'`` also opens each file and
            checks bands and data type; False does nothing.
        options: Sensor -> options of ``RasterReader``.

    Raises:
        FileNotFoundError: Files are missing; names the first, and how many.
        RasterContractError: A file contradicts the sensor table.
    """
    if how is False:
        return
    if how not in ('exists', 'open'):
        raise ValueError("check_files must be 'exists', 'open' or False, "
                         f'found {how!r}')
    files = list(files)
    missing = [path for path, _ in files if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(
            f'{index}: names {missing[0]}, which does not exist '
            f'({len(missing)} of {len(files)} files are missing); correct '
            'the data root or rebuild the index')
    empty = [path for path, _ in files if not os.path.getsize(path)]
    if empty:
        raise RasterContractError(
            f'{empty[0]}: expected a raster file, found 0 bytes '
            f'({len(empty)} of {len(files)} files are empty); copy or '
            'download it again')
    if how == 'open':
        for path, sensor in files:
            given = (options or {}).get(sensor or '', {})
            RasterReader(path, sensor, **given).check_contract()


def split_names(tiles: Sequence[Mapping[str, Any]]) -> list[str]:
    """The splits that occur, sorted."""
    return sorted({str(tile.get('split')) for tile in tiles})
