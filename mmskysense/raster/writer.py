# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Georeferenced output that is either complete or not there."""

from __future__ import annotations

import os
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from mmskysense.version import __version__

NODATA = 255
#: Side of the outputs' tiles in pixels.
BLOCK = 512

_Writer = TypeVar('_Writer', bound='GeoTIFFWriter')


def check_output(path: str | os.PathLike,
                 inputs: Sequence[str | os.PathLike] = ()) -> None:
    """Refuse an output path that could not be written at the end.

    Args:
        path: The file to write; an existing file will be replaced.
        inputs: Files that must not be overwritten.

    Raises:
        ValueError: It is a directory or one of the inputs.
        FileNotFoundError: Its directory does not exist.
        PermissionError: Its directory is not writable.
    """
    path = Path(path)
    folder = path.parent
    if path.is_dir():
        raise ValueError(f'{path}: expected a file to write, found a '
                         'directory; add a file name such as map.tif')
    if not folder.is_dir():
        found = 'a file' if folder.exists() else 'nothing'
        raise FileNotFoundError(
            f'{path}: expected its directory {folder} to exist, found '
            f'{found}; create it with mkdir -p')
    if not os.access(folder, os.W_OK):
        raise PermissionError(f'{path}: expected a writable directory, '
                              f'{folder} is not; choose another one')
    for source in inputs:
        if os.path.exists(source) and path.exists() \
                and os.path.samefile(source, path):
            raise ValueError(f'{path}: the output is also an input; choose '
                             'another file name')


class GeoTIFFWriter:
    """Writes rows of a raster, of uint8 here; a context manager.

    Rows go into a temporary file in the output's directory. Leaving the
    context without an error turns it into a cloud-optimised GeoTIFF (tiles,
    deflate, overviews) and gives it its final name in one step; with an
    error, KeyboardInterrupt included, nothing is left behind and an older
    file of that name stays as it was.

    Args:
        path: The file to write.
        height: Rows in pixels.
        width: Columns in pixels.
        descriptions: One for each band.
        crs: Coordinate reference system, or None.
        transform: Affine from (column, row) to coordinates, also rotated;
            identity or None means none.
        tags: Metadata of the file.
        overview_resampling: Name of the method of the GDAL COG driver.

    Raises:
        OSError: The file cannot be written; one line that names it.
    """

    #: Data type of the pixels, and the value of those not measured.
    dtype = 'uint8'
    nodata: float = NODATA
    #: Blocks of the temporary file, which writes should fill.
    layout: Mapping[str, Any] = dict(
        tiled=True, blockxsize=BLOCK, blockysize=BLOCK)

    def __init__(self,
                 path: str | os.PathLike,
                 height: int,
                 width: int,
                 descriptions: Sequence[str],
                 crs: Any = None,
                 transform: Any = None,
                 tags: Mapping[str, Any] | None = None,
                 overview_resampling: str = 'NEAREST') -> None:
        self.path = Path(path)
        self.height, self.width = height, width
        self.descriptions = tuple(descriptions)
        self.crs = crs
        # Readers report "none" as identity; written down, it would become a
        # georeference in GDAL's eyes.
        self.transform = None if transform is not None \
            and transform.is_identity else transform
        self.tags = {
            'TIFFTAG_SOFTWARE': f'mmskysense {__version__}',
            **(tags or {})
        }
        self.overview_resampling = overview_resampling
        self._folder: tempfile.TemporaryDirectory | None = None
        self._dataset: Any = None
        # First row and column, rows, columns and checksum of what was
        # written.
        self._written: list[tuple[int, int, int, int, int]] = []

    def __enter__(self: _Writer) -> _Writer:
        check_output(self.path)
        # A sibling, since a rename is atomic within a file system only.
        self._folder = tempfile.TemporaryDirectory(
            prefix=f'.{self.path.name}.partial-', dir=self.path.parent)
        try:
            with self._one_line():
                self._dataset = rasterio.open(
                    self._part('rows.tif'),
                    'w',
                    driver='GTiff',
                    height=self.height,
                    width=self.width,
                    count=len(self.descriptions),
                    dtype=self.dtype,
                    nodata=self.nodata,
                    crs=self.crs,
                    transform=self.transform,
                    interleave='band',
                    compress='deflate',
                    **self.layout,
                    zlevel=1,
                    bigtiff='if_safer')
                self._describe(self._dataset)
        except BaseException:
            self._discard()
            raise
        return self

    def _describe(self, dataset: Any) -> None:
        """Write what must be there before the first pixel."""
        dataset.update_tags(
            **{name: str(value)
               for name, value in self.tags.items()})
        for number, text in enumerate(self.descriptions, 1):
            dataset.set_band_description(number, text)

    def write(self, row: int, rows: np.ndarray, left: int = 0) -> None:
        """Write finished rows, or some columns of them.

        Args:
            row: First row in the raster.
            rows: (rows, columns), or (bands, rows, columns), in the type of
                the file.
            left: First column; 0 means whole rows.

        Raises:
            ValueError: Another data type or shape.
            OSError: The disk is full or gone.
        """
        rows = rows[None] if rows.ndim == 2 else rows
        columns = self.width if not left and rows.shape[2] > self.width \
            else min(rows.shape[2], self.width - left)
        expected = (len(self.descriptions), rows.shape[1], columns)
        if rows.dtype != self.dtype or rows.shape != expected:
            raise ValueError(
                f'{self.path}: expected {self.dtype} rows of shape '
                f'{expected}, found {rows.dtype} {rows.shape}')
        with self._one_line():
            self._dataset.write(
                rows, window=Window(left, row, rows.shape[2], rows.shape[1]))
        self._written.append((row, left, *rows.shape[1:], _checksum(rows)))

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            with self._one_line():
                self._dataset.close()
                if kind is None:
                    self._complete()
        finally:
            self._discard()

    def _complete(self) -> None:
        """Turn the rows into a COG, then give it the final name."""
        rasterio.shutil.copy(
            self._part('rows.tif'),
            self._part('cog.tif'),
            driver='COG',
            compress='DEFLATE',
            predictor='YES',
            blocksize=BLOCK,
            overviews='IGNORE_EXISTING',
            overview_resampling=self.overview_resampling,
            bigtiff='IF_SAFER')
        self._verify(self._part('cog.tif'))
        os.replace(self._part('cog.tif'), self.path)

    def _verify(self, path: str) -> None:
        """Read everything back: GDAL is silent about some failed writes."""
        with rasterio.open(path) as dataset:
            levels = len(dataset.overviews(1))
            for row, left, count, columns, checksum in self._written:
                rows = dataset.read(window=Window(left, row, columns, count))
                if _checksum(rows) != checksum:
                    raise OSError(f'rows {row} to {row + count - 1} read back '
                                  'differ from those written')
        for level in range(levels):
            with rasterio.open(path, overview_level=level) as dataset:
                for row in range(0, dataset.height, BLOCK):
                    for left in range(0, dataset.width, 8 * BLOCK):
                        dataset.read(window=Window(
                            left, row, min(8 * BLOCK, dataset.width - left),
                            min(BLOCK, dataset.height - row)))

    def _part(self, name: str) -> str:
        assert self._folder is not None
        return os.path.join(self._folder.name, name)

    def _discard(self) -> None:
        if self._dataset is not None and not self._dataset.closed:
            self._dataset.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = None

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Say which file GDAL failed on, and hide its note on plain pixels."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', NotGeoreferencedWarning)
                yield
        except (RasterioError, OSError, CPLE_BaseError, SystemError) as error:
            # The last two escape from rasterio when GDAL fails on closing.
            cause = ' '.join(str(error.__cause__ or error).split())
            raise OSError(f'{self.path}: cannot be written ({cause[:160]}); '
                          'check free space and permissions') from error


def _checksum(rows: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(rows))


class MapWriter(GeoTIFFWriter):
    """Writes a class map: one uint8 band, 255 = nodata.

    The colour table holds the palette; tags ``CLASS_0``, ``CLASS_1``, ...
    hold the class names and ``NUM_CLASSES`` their number.

    Args:
        path: The file to write.
        height: Rows in pixels.
        width: Columns in pixels.
        class_names: Name of class 0, 1, ...; at most 255.
        palette: Red, green and blue (0 to 255) of each class.
        crs: Coordinate reference system, or None.
        transform: Affine, also rotated; None for plain pixels.
        tags: More metadata of the file.

    Raises:
        ValueError: Too many classes, or a palette of another length.
    """

    def __init__(self,
                 path: str | os.PathLike,
                 height: int,
                 width: int,
                 class_names: Sequence[str],
                 palette: Sequence[Sequence[int]],
                 crs: Any = None,
                 transform: Any = None,
                 tags: Mapping[str, Any] | None = None) -> None:
        if len(class_names) > NODATA or len(palette) != len(class_names):
            raise ValueError(
                f'{path}: expected at most {NODATA} classes with one colour '
                f'each, found {len(class_names)} classes and {len(palette)} '
                'colours')
        names = {f'CLASS_{i}': name for i, name in enumerate(class_names)}
        super().__init__(
            path, height, width, ['class'], crs, transform,
            dict(tags or {}, NUM_CLASSES=len(class_names), **names), 'MODE')
        self.palette = palette

    def _describe(self, dataset: Any) -> None:
        super()._describe(dataset)
        dataset.write_colormap(
            1, {
                **{value: (0, 0, 0, 255)
                   for value in range(len(self.palette), NODATA)},
                **{value: (*(int(part) for part in colour), 255)
                   for value, colour in enumerate(self.palette)}, NODATA:
                (0, 0, 0, 0)
            })


class ProbabilityWriter(GeoTIFFWriter):
    """Writes class probabilities: one band a class.

    Stored is round(254 * probability) as uint8 with 255 = nodata, or
    round(65534 * probability) as uint16 with 65535 = nodata; the bands'
    scale is 1/254 or 1/65534, so readers that honour it give probabilities.

    Args: As of :class:`MapWriter`, without the palette, and ``dtype``,
        ``'uint8'`` or ``'uint16'``.
    """

    def __init__(self,
                 path: str | os.PathLike,
                 height: int,
                 width: int,
                 class_names: Sequence[str],
                 crs: Any = None,
                 transform: Any = None,
                 tags: Mapping[str, Any] | None = None,
                 dtype: str = 'uint8') -> None:
        super().__init__(path, height, width, class_names, crs, transform,
                         tags, 'AVERAGE')
        self.dtype, self.nodata = dtype, np.iinfo(dtype).max

    def _describe(self, dataset: Any) -> None:
        super()._describe(dataset)
        dataset.scales = (1 / (self.nodata - 1), ) * len(self.descriptions)
        dataset.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * (
            len(self.descriptions) - 1)

    @staticmethod
    def encode(probabilities: np.ndarray, valid: np.ndarray,
               dtype: str = 'uint8') -> np.ndarray:
        """Float (C, H, W) in 0..1 and bool (H, W) to dtype (C, H, W)."""
        nodata = np.iinfo(dtype).max
        scaled = np.rint(probabilities * (nodata - 1)).astype(dtype)
        return np.where(valid, scaled, np.array(nodata, dtype))


class UncertaintyWriter(ProbabilityWriter):
    """Writes uncertainties from 0 to 1: uint8, 255 = nodata, scale 1/254.

    Args: As of :class:`ProbabilityWriter`; the names are those of the kinds
        of uncertainty.
    """
