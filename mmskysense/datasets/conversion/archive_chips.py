# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""An archive of large scenes to chips of one size, for pre-training.

Pre-training reads whole tiles and cuts its views from them: scenes of
thousands of pixels would be decoded for a few percent of their ground.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from mmskysense.datasets.index_builder import RASTER_SUFFIXES
from mmskysense.datasets.tile_index import (
    INDEX_VERSION,
    read_index,
    tile_paths,
)
from mmskysense.raster.band_contract import check_alignment
from mmskysense.raster.grid import GridWindow
from mmskysense.raster.open_files import damaged, open_raster
from mmskysense.raster.reader import RasterReader
from mmskysense.sensors import SENSORS

from .errors import DataError
from .files import atomic_path, write_json
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .tiling import TilePlan, tile_name

#: What a chip does not have of its tile's entry.
_OF_THE_TILE = ('id', 'bounds')


def find_items(index: Path) -> list[ConversionItem]:
    """One item for each tile of an index.

    The payload is (tile, key -> files): of sensors, labels and whatever else
    names rasters.

    Raises:
        FileNotFoundError: No index.
        ValueError: Not an index, or it names no rasters of a sensor.
    """
    items = []
    for tile in read_index(str(index)):
        rasters = {}
        for key, value in tile.items():
            names = [value] if isinstance(value, str) else value
            if key not in ('id', 'split') and names and isinstance(
                    names, list) and all(
                    isinstance(name, str)
                    and Path(name).suffix.lower() in RASTER_SUFFIXES
                    for name in names):
                rasters[key] = tuple(index.parent / name for name in names)
        sensors = [key for key in rasters if key in SENSORS]
        if not sensors:
            raise DataError(
                index, f"expected rasters of a sensor for tile '{tile['id']}'"
                f', found {sorted(rasters) or "none"}', 'rebuild the index '
                'with tools/dataset_converters/build_index.py')
        for sensor in sensors:
            tile_paths(str(index), tile, sensor)  # one date for each file
        items.append(ConversionItem(
            str(tile['id']), rasters[sensors[0]][0],
            str(tile.get('split', '')), (tile, rasters)))
    return items


def common_windows(shapes: Mapping[Path, tuple[int, int]], plan: TilePlan,
                   exact: Collection[Path] | None = None
                   ) -> Iterator[dict[Path, GridWindow]]:
    """Windows of the same ground in rasters of different pixel size.

    Where a coarse pixel holds a whole number of fine ones windows end at its
    borders. Of other rasters each edge is the nearest pixel's: off by half a
    pixel, as much as tiles of an archive may be.

    Args:
        shapes: File -> (height, width) in pixels; all cover one ground.
        plan: Size and overlap in pixels of the finest of ``exact``.
        exact: The sensors' files; others, labels, follow them. All by
            default.

    Yields:
        File -> its window. The last windows of a side are shifted inwards.

    Raises:
        DataError: A raster of other proportions, or the plan would cut
            through coarse pixels.

    Example:
        >>> shapes = {Path('fine'): (8, 8), Path('coarse'): (2, 2)}
        >>> window = list(common_windows(shapes, TilePlan(4)))[1]
        >>> window[Path('fine')].as_tuple(), window[Path('coarse')].as_tuple()
        ((0, 4, 4, 4), (0, 1, 1, 1))
    """
    leading = list(shapes if exact is None else exact)
    finest = max(leading, key=lambda path: shapes[path])
    height, width = shapes[finest]
    unit, coarsest = 1, finest
    for path, (rows, columns) in shapes.items():
        # In pixels of the coarser of the two.
        apart = abs(rows * width - columns * height) / max(
            height, width, rows, columns)
        if apart > 1:
            raise DataError(
                path, f'expected the proportions of {finest}, {height} x '
                f'{width} pixels of the same ground, found {rows} x '
                f'{columns}', 'crop one of them (gdalwarp -te)')
        factor = height // rows
        if path in leading and (rows * factor, columns * factor) == (
                height, width):
            unit, coarsest = math.lcm(unit, factor), path
    if plan.size % unit or plan.overlap % unit:
        raise DataError(
            coarsest, f'the finest raster has {unit} x {unit} pixels for '
            f'a whole number of coarse ones: expected size and overlap to be '
            f'multiples of {unit}, found {plan.size} and {plan.overlap}',
            f'pass for example --size {-(-plan.size // unit) * unit}')
    coarse = TilePlan(plan.size // unit, plan.overlap // unit)
    for window in coarse.windows(height // unit, width // unit):
        top, left, rows, columns = (n * unit for n in window.as_tuple())
        yield {
            path: _nearest(top / height, left / width, (top + rows) / height,
                           (left + columns) / width, shape)
            for path, shape in shapes.items()}


def _nearest(top: float, left: float, bottom: float, right: float,
             shape: tuple[int, int]) -> GridWindow:
    """Window between fractions of the sides, of one pixel at least."""
    row = min(round(top * shape[0]), shape[0] - 1)
    column = min(round(left * shape[1]), shape[1] - 1)
    return GridWindow(row, column,
                      max(1, round(bottom * shape[0]) - row),
                      max(1, round(right * shape[1]) - column))


def cut_raster(source: Path, target: Path, window: GridWindow) -> None:
    """Copy a window with all that a reader goes by, whole or not at all.

    Kept are values, data type, georeference (control points too), nodata,
    masks, names, colours, scales, offsets and units of bands, and tags but
    for statistics, which are the whole raster's.

    Args:
        source: Any raster that GDAL opens.
        target: GeoTIFF to write.
        window: In pixels of the source.

    Raises:
        RasterContractError: A missing or damaged source.
    """
    dataset = open_raster(str(source))
    part = Window(window.column, window.row, window.width, window.height)
    own_mask = dataset.mask_flag_enums[0] == [MaskFlags.per_dataset]
    try:
        values = dataset.read(window=part)
        mask = dataset.dataset_mask(window=part) if own_mask else None
    except (RasterioError, OSError) as error:
        raise damaged(dataset, str(source), error) from error
    extra: dict[str, Any] = {}
    if not dataset.transform.is_identity:
        extra['transform'] = dataset.window_transform(part)
    colours = dataset.colorinterp
    extra['photometric'] = 'rgb' if colours[:3] == (
        ColorInterp.red, ColorInterp.green, ColorInterp.blue) else 'minisblack'
    if colours[0] == ColorInterp.palette:
        extra['photometric'] = 'palette'
    profile = dict(
        driver='GTiff', count=dataset.count, height=window.height,
        width=window.width, dtype=values.dtype, crs=dataset.crs,
        nodata=dataset.nodata, compress='deflate', **extra)
    with atomic_path(target) as partial, warnings.catch_warnings(), \
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        # Plain images have no place on the ground.
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(partial, 'w', **profile) as file:
            file.colorinterp = colours
            file.descriptions = dataset.descriptions
            file.scales, file.offsets = dataset.scales, dataset.offsets
            file.units = [unit or '' for unit in dataset.units]
            points, their_crs = dataset.gcps
            if points:
                file.gcps = [GroundControlPoint(
                    point.row - window.row, point.col - window.column,
                    point.x, point.y, point.z) for point in points], their_crs
            for band in range(dataset.count + 1):  # 0: of the whole file
                file.update_tags(band, **{
                    key: value for key, value in dataset.tags(band).items()
                    if not key.startswith('STATISTICS_')})
            if colours[0] == ColorInterp.palette:
                file.write_colormap(1, dataset.colormap(1))
            file.write(values)
            if mask is not None:
                file.write_mask(mask)


def convert_one(item: ConversionItem, out_dir: Path, plan: TilePlan,
                min_measured: float) -> ItemResult:
    """Cut all rasters of one tile; the record holds entries of the index."""
    tile, rasters = item.payload
    files = [path for paths in rasters.values() for path in paths]
    sensors = [path for key, paths in rasters.items() if key in SENSORS
               for path in paths]
    shapes = {path: open_raster(str(path)).shape for path in files}
    finest = max(sensors, key=lambda path: shapes[path])
    check_alignment([RasterReader(path).grid for path in (finest, *files)])
    found = list(common_windows(shapes, plan, sensors))
    kept = [windows for windows in found
            if _is_measured(rasters, windows, min_measured)]
    chips = [tile_name(item.key, windows[finest]) for windows in kept]
    entries: list[dict[str, Any]] = [
        {'id': chip, **{key: value for key, value in tile.items()
                        if key not in _OF_THE_TILE}} for chip in chips]
    outputs: list[str] = []
    for key, paths in rasters.items():
        days = tile.get(f'{key}_dates') or [None] * len(paths)
        names = [_names(key, chip, days) for chip in chips]
        # File by file: a series may have more than can stay open.
        for number, path in enumerate(paths):
            for of_chip, windows in zip(names, kept, strict=True):
                cut_raster(path, out_dir / of_chip[number], windows[path])
        for entry, of_chip in zip(entries, names, strict=True):
            outputs += of_chip
            if isinstance(tile[key], str):
                entry[key] = of_chip[0]
            else:
                entry[key], entry[f'{key}_dates'] = of_chip, list(days)
    return ItemResult(tuple(outputs), dict(entries=entries,
                                           empty=len(found) - len(kept)))


def _names(key: str, chip: str, days: Sequence[str | None]) -> list[str]:
    """Names of a chip's files, with number and date where there are any."""
    return [
        f'{key}/{chip}' + (f'_{number:02d}' if len(days) > 1 else '') +
        (f"_{day.replace('-', '')}" if day else '') + '.tif'
        for number, day in enumerate(days)]


def _is_measured(rasters: Mapping[str, Sequence[Path]],
                 windows: Mapping[Path, GridWindow],
                 min_measured: float) -> bool:
    """Whether any date of any sensor measured enough of the windows."""
    for sensor, paths in rasters.items():
        for path in paths if sensor in SENSORS else ():
            reader = RasterReader(path, sensor, check=False)
            _, valid = reader.read(windows[path].as_tuple())
            if valid.mean() >= min_measured and valid.any():
                return True
    return False


def cut_archive(root: str, out: str, size: int = 512, overlap: int = 0,
                min_measured: float = 0.1, workers: int = 1,
                skip_bad: bool = False) -> ConversionReport:
    """Cut an archive; see ``tools/dataset_converters/cut_archive.py``.

    Args:
        root: Archive with the ``index.json`` that ``build_index.py`` writes.
        out: Folder to write: chips by sensor, and their ``index.json``.
        size: Side of a chip in pixels of a tile's finest sensor.
        overlap: Pixels that neighbours share, of the finest sensor.
        min_measured: A chip of which no raster measured this fraction is
            left out, and counted.
        workers: Processes.
        skip_bad: List tiles with damaged files and go on.

    Returns:
        The report; ``record`` of a result has ``entries`` and ``empty``.

    Raises:
        DataError: Pixels of a tile's rasters do not fit each other or the
            size, or nothing was measured anywhere.
        FileNotFoundError: No index.
        ValueError: ``out`` is the archive itself, or a number is out of
            its range.
    """
    if Path(out).resolve() == Path(root).resolve():
        raise ValueError(f'--out {out} is the archive itself, whose index '
                         'would be overwritten; expected another folder')
    if not 0 <= min_measured <= 1:
        raise ValueError(f'min_measured is {min_measured}, expected a '
                         'fraction between 0 and 1')
    plan = TilePlan(size, overlap)
    items = find_items(Path(root) / 'index.json')
    report = run_conversion(
        items, functools.partial(convert_one, plan=plan,
                                 min_measured=min_measured),
        out, workers, skip_bad,
        dict(size=size, overlap=overlap, min_measured=min_measured),
        'cutting tiles')
    entries = [entry for result in report.results.values()
               for entry in result.record['entries']]
    if not entries:
        raise DataError(
            root, f'expected chips with {min_measured:.0%} of their pixels '
            'measured, found none', 'lower --min-measured, or correct the '
            'nodata values of the files')
    write_json(Path(out) / 'index.json',
               dict(version=INDEX_VERSION, tiles=entries))
    return report
