# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The one place that opens rasters.

Each thread of each process has a bounded set of handles of its own.
"""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections import OrderedDict

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from .band_contract import RasterContractError

# GDAL handles are neither fork-safe nor thread-safe, so each thread of each
# process keeps its own few.
_MAX_HANDLES = 16
_LOCAL = threading.local()
# GDAL lists a file's whole folder to find what belongs to it (masks, world
# files): in folders of thousands of chips that takes longer than reading, and
# many servers have no listing. With TRUE it asks for the few names that it
# knows, and finds the same. The user's own setting in the environment wins.
_FOLDER_OPTIONS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'TRUE'}
# GDAL's file systems behind which there is a server.
_NETWORK = ('/vsicurl', '/vsis3/', '/vsigs/', '/vsiaz/', 'http://',
            'https://')
# Handles inherited through a fork share a file offset with the parent: they
# are parked, never used and never closed by the child.
_INHERITED: list[OrderedDict] = []


def limit_block_cache(megabytes: int = 128) -> None:
    """Bound the decoded blocks that GDAL keeps, in this process and others.

    GDAL's own limit, 5 % of the machine's memory, makes the memory of a map
    depend on the machine. A cache that has been in use keeps its limit; a
    ``GDAL_CACHEMAX`` in the environment wins.

    Args:
        megabytes: At most so many (ours: several rows of blocks of a raster
            32768 pixels wide).
    """
    os.environ.setdefault('GDAL_CACHEMAX', str(megabytes))


def file_signature(path: str) -> tuple:
    """Identify the file's present content, so that a rewrite is noticed.

    Args:
        path: Any path that GDAL reads.

    Returns:
        Path, time of change and size; the path alone for a remote file.

    Raises:
        RasterContractError: Missing or empty.
    """
    try:
        found = os.stat(path)
    except OSError:
        if is_remote(path):
            return (path, )
        raise RasterContractError(
            f'{path}: expected a raster file, found no such file; check the '
            'data root, the index and the file suffix') from None
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise RasterContractError(
            f'{path}: expected a raster file, found 0 bytes; copy or download '
            'it again')
    return (path, found.st_mtime_ns, found.st_size)


def is_remote(path: str) -> bool:
    """Whether a path is a URL or one of GDAL's virtual file systems."""
    return path.startswith('/vsi') or '://' in path


def _options() -> dict[str, str]:
    """GDAL's settings while a path is opened."""
    return {
        key: value
        for key, value in _FOLDER_OPTIONS.items() if key not in os.environ
    }


def open_raster(path: str) -> rasterio.DatasetReader:
    """Open a raster, or hand out this thread's open handle of it.

    Args:
        path: Any path that GDAL reads.

    Returns:
        A dataset that stays owned by the cache: do not close it.

    Raises:
        RasterContractError: Missing, empty, or not a raster.
    """
    key = file_signature(path)
    handles = getattr(_LOCAL, 'handles', None)
    if handles is None or _LOCAL.pid != os.getpid():
        if handles is not None:
            _INHERITED.append(handles)
        handles = _LOCAL.handles = OrderedDict()
        _LOCAL.pid = os.getpid()
    if key in handles:
        handles.move_to_end(key)
        return handles[key]
    try:
        with warnings.catch_warnings(), rasterio.Env(**_options()):
            # PNG and JPEG chips have no georeference, and need none.
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except (RasterioError, OSError) as error:
        if is_remote(path):
            raise RasterContractError(
                f'{path}: expected a raster that GDAL can open, found none '
                f'({_one_line(error, path)}); check the address, and whether '
                'the server answers') from error
        raise RasterContractError(
            f'{path}: expected a raster that GDAL can open, found '
            f'{os.path.getsize(path) if os.path.exists(path) else "?"} bytes '
            f'that it cannot ({_one_line(error, path)}); copy or download it '
            'again') from error
    handles[key] = dataset
    while len(handles) > _MAX_HANDLES:
        handles.popitem(last=False)[1].close()
    return dataset


def _one_line(error: Exception, path: str) -> str:
    """What GDAL said, without repeating the path."""
    cause = error.__cause__ or error
    text = ' '.join(str(cause).split())
    return text.replace(path, 'the file').strip(' .:')[:160]


def read_band(path: str, band: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Read one band as it is, for labels.

    Args:
        path: Any path that GDAL reads.
        band: 1-based band number.

    Returns:
        Values (H, W) in the file's data type, and bool (H, W) that is False
        where the file's own nodata value or mask says so.

    Raises:
        RasterContractError: Missing, empty, damaged, or not a raster.
    """
    dataset = open_raster(path)
    try:
        values = dataset.read(band)
        valid = dataset.read_masks(band) > 0
    except (RasterioError, OSError, IndexError) as error:
        raise damaged(dataset, path, error) from error
    return values, valid


def damaged(dataset: rasterio.DatasetReader, path: str,
            error: Exception) -> RasterContractError:
    """The error for pixels that the header promises and the file lacks."""
    if path.startswith(_NETWORK):
        return RasterContractError(
            f'{path}: expected {dataset.width}x{dataset.height} pixels as its '
            f'header says, found blocks that could not be fetched '
            f'({_one_line(error, path)}); the server stopped answering, or '
            'its file is damaged: try again, or copy the file here first')
    return RasterContractError(
        f'{path}: expected {dataset.width}x{dataset.height} pixels as its '
        f'header says, found unreadable blocks ({_one_line(error, path)}); '
        'the file is truncated or damaged, copy or download it again')
