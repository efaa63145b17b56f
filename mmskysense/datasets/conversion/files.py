# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Files of a conversion: read with clear errors, written whole or not at all.

Nothing under a final name is ever half written: it gets a temporary name in
the same folder and is renamed when complete.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from mmskysense.raster.open_files import damaged, open_raster

from .errors import DataError

#: How the names of incomplete files begin.
PARTIAL = '.partial-'


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name that becomes ``path`` if the block succeeds.

    Args:
        path: The final name; its folder is made.

    Yields:
        Where to write; same folder and suffix.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f'{PARTIAL}{os.getpid()}-{final.name}')
    try:
        yield partial
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)


def remove_leftovers(root: str | os.PathLike) -> None:
    """Delete the incomplete files that a killed run left below a folder."""
    for path in Path(root).rglob(f'{PARTIAL}*'):
        path.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding='utf-8')


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, ensure_ascii=False) + '\n')


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write uint8 (H, W) or (H, W, 3) as a PNG, whole or not at all."""
    with atomic_path(path) as partial:
        Image.fromarray(image).save(partial, compress_level=3)


def write_geotiff(path: str | os.PathLike,
                  values: np.ndarray,
                  crs: Any = None,
                  transform: Any = None,
                  nodata: float | None = None,
                  descriptions: Sequence[str] = ()) -> None:
    """Write (C, H, W) as a compressed GeoTIFF, whole or not at all.

    Args:
        path: Final name.
        values: Bands in file order, any dtype of GDAL.
        crs: Coordinate reference system, or None.
        transform: Affine map of pixels to coordinates, or None.
        nodata: Value that means "no measurement".
        descriptions: Name of each band.
    """
    count, height, width = values.shape
    extra: dict[str, Any] = {} if transform is None else dict(
        transform=transform)
    if count == 4:
        # GDAL would call the fourth of four bands of 8 bits transparency.
        extra['photometric'] = 'minisblack'
    with atomic_path(path) as partial, warnings.catch_warnings():
        # Some datasets are published without their place on the ground.
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(
                partial, 'w', driver='GTiff', count=count, height=height,
                width=width, dtype=values.dtype, crs=crs, nodata=nodata,
                compress='deflate', **extra) as file:
            file.write(values)
            if descriptions:
                file.descriptions = tuple(descriptions)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a whole picture or raster as it is.

    Args:
        path: Any format of GDAL (TIFF, PNG, JPEG, ENVI, ...).

    Returns:
        (C, H, W) in the file's data type and band order.

    Raises:
        RasterContractError: Missing, empty, truncated, or not a raster.
    """
    name = os.fspath(path)
    dataset = open_raster(name)
    try:
        return dataset.read()
    except (RasterioError, OSError) as error:
        raise damaged(dataset, name, error) from error


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises:
        DataError: Missing, not UTF-8 or not JSON (with the line).
    """
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise DataError(
            path, f'expected JSON, found {error.msg} (column {error.colno})',
            'the file is damaged, download it again', error.lineno) from None


def read_lines(path: str | os.PathLike) -> list[tuple[int, str]]:
    """Read a list file.

    Returns:
        Pairs of the 1-based line number and the line without blanks around
        it; empty lines are left out.

    Raises:
        DataError: Missing, not UTF-8, or empty.
    """
    lines = [(number, line.strip())
             for number, line in enumerate(_text(path).splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise DataError(path, 'expected one name a line, found an empty file',
                        'download it again')
    return lines


def _text(path: str | os.PathLike) -> str:
    try:
        return Path(path).read_text(encoding='utf-8-sig')
    except FileNotFoundError:
        raise DataError(
            path, 'expected this file, found none',
            'complete the download, or correct the folder') from None
    except UnicodeDecodeError:
        raise DataError(path, 'expected a text file in UTF-8, found other '
                        'bytes', 'download it again') from None


def require_folder(path: str | os.PathLike, what: str) -> Path:
    """The folder, or an error that says what should lie there.

    Raises:
        DataError: No such folder.
    """
    if not os.path.isdir(path):
        raise DataError(path, f'expected the folder of {what}, found none',
                        'complete the download, unpack its archives, or '
                        'correct the folder')
    return Path(path)
