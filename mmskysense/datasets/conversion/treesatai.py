# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""TreeSatAI-Time-Series as published to rasters by date."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.datasets.tile_index import INDEX_VERSION
from mmskysense.sensors import get_sensor

from .defects import Defects
from .errors import DataError
from .files import (
    read_image,
    read_json,
    read_lines,
    require_folder,
    write_geotiff,
    write_json,
)
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .verification import keep_once, tell_empty_splits, verify_total

#: Genera, in order of the class ids.
CLASSES = ('Abies', 'Acer', 'Alnus', 'Betula', 'Cleared', 'Fagus', 'Fraxinus',
           'Larix', 'Picea', 'Pinus', 'Populus', 'Prunus', 'Pseudotsuga',
           'Quercus', 'Tilia')
#: A genus counts above this share of the area, as in the benchmark.
SHARE = 0.07
#: A pixel of Sentinel-2 is cloudy above this probability, in percent (ours).
CLOUDY = 50
#: Bands of the aerial images in their order, which the files do not say and
#: sources do not agree on; docs/datasets/treesatai.md has the reasons.
AERIAL_BANDS = ('N', 'G', 'B', 'R')
#: Sites of all lists together, as the published description says; how many
#: each list has could not be read.
SITES = 50_381
LABELS = 'TreeSatBA_v9_60m_multi_labels.json'
#: In this order: a site in two lists is tested on and not trained on, when
#: it is left out of the second. The first release has no list of ``val``.
SPLITS = ('test', 'val', 'train')
# Single Sentinel images of the first release have the aerial images' names.
_NOT_AERIAL = {'sentinel', 's1', 's2'}
_ORBITS = ('asc', 'des')
# Product names hold the day of acquisition first: S2A_MSIL2A_20200102T102421.
_DAY = re.compile(rb'_(\d{4})(\d{2})(\d{2})T\d{6}')


def _files(root: Path, suffix: str, defects: Defects) -> dict[str, Path]:
    """Name without suffix (and, of series, without year) -> file."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob(f'*{suffix}')):
        folders = {part.lower() for part in path.relative_to(root).parts[:-1]}
        if suffix == '.tif' and folders & _NOT_AERIAL:
            continue
        name = re.sub(r'_\d{4}$', '', path.stem) if suffix == '.h5' else \
            path.stem
        with defects.leave_out():
            keep_once(found, name, path)
    return found


def _one(root: Path, name: str) -> Path:
    """The one file of this name anywhere below a folder."""
    found = sorted(root.rglob(name))
    if len(found) != 1:
        raise DataError(root / name, 'expected this file once, found '
                        f'{len(found)}', 'complete the download')
    return found[0]


def find_items(root: Path, partial: bool = False,
               defects: Defects | None = None) -> list[ConversionItem]:
    """One item a site of the published lists, ``val``'s if there is one.

    Args:
        root: Holds, anywhere below, the lists, the labels, ``*.tif`` and
            ``*.h5``.
        partial: Leave sites out whose files are not there.
        defects: Takes bad sites; raises by default.

    Raises:
        DataError: A list, the labels or a file is missing, a name is there
            twice, or a genus is unknown.
    """
    defects = defects or Defects()
    require_folder(root, 'the download')
    label_file = _one(root, LABELS)
    labels = read_json(label_file)
    images = _files(root, '.tif', defects)
    series = _files(root, '.h5', defects)
    items: list[ConversionItem] = []
    listed: dict[str, str] = {}
    for split in SPLITS:
        name = f'{split}_filenames.lst'
        if split == 'val' and not sorted(root.rglob(name)):
            continue
        path = _one(root, name)
        for line, text in read_lines(path):
            name = Path(text).stem
            if name in listed:
                defects.add(DataError(
                    path, f"'{name}' is there twice, also in {listed[name]}",
                    'remove one of them', line))
                continue
            listed[name] = path.name
            missing = [what for what, files in (
                (f'{name}.tif', images), (f'{name}_YEAR.h5', series))
                if name not in files]
            if missing and partial:
                continue
            with defects.leave_out():
                if missing:
                    raise DataError(
                        path, f"expected '{missing[0]}' below {root}, found "
                        'none', 'complete the download, or accept a part of '
                        'it with --partial', line)
                items.append(ConversionItem(
                    name, series[name], split,
                    (images[name], _genera(labels, name, label_file))))
    return items


def _genera(labels: Any, name: str, path: Path) -> list[int]:
    """Class ids of a site."""
    entry = labels.get(f'{name}.tif') if isinstance(labels, dict) else None
    try:
        genera = [str(genus) for genus, share in entry or ()
                  if share > SHARE]
    except (TypeError, ValueError):
        raise DataError(path, f"expected '{name}.tif': [[genus, share], ...],"
                        f' found {str(entry)[:60]}',
                        'download it again') from None
    unknown = sorted(set(genera) - set(CLASSES))
    if unknown or not genera:
        raise DataError(path, f"expected '{name}.tif' to have genera of "
                        f'TreeSatAI, found {unknown or entry}',
                        'download it again')
    return sorted(CLASSES.index(genus) for genus in genera)


def read_series(path: Path) -> dict[str, np.ndarray]:
    """All arrays of one HDF5 file.

    Raises:
        ImportError: h5py is not installed.
        DataError: No HDF5, an array is missing, or shapes do not fit.
    """
    try:
        h5py = importlib.import_module('h5py')
    except ImportError as error:
        raise ImportError(
            f"'{error.name}' is not installed but is needed for {path.name}: "
            'run `pip install h5py -c requirements/constraints.txt`'
        ) from error
    try:
        with h5py.File(path, 'r') as file:
            arrays = {name: file[name][()] for name in file}
    except OSError as error:
        raise DataError(path, f'expected an HDF5 file, found {error}',
                        'download it again') from None
    groups = {'sen-2': 10, **{f'sen-1-{orbit}': 2 for orbit in _ORBITS}}
    for group, bands in groups.items():
        data = arrays.get(f'{group}-data')
        products = arrays.get(f'{group}-products')
        if data is None or products is None or data.ndim != 4 or \
                data.shape[:2] != (len(products), bands):
            raise DataError(
                path, f'expected {group}-data (T, {bands}, H, W) and '
                f'{group}-products (T,), found '
                f'{None if data is None else data.shape} and '
                f'{None if products is None else products.shape}',
                'download it again')
    masks = arrays.get('sen-2-masks')
    if masks is None or masks.ndim != 4 or masks.shape[1] < 2 or \
            len(masks) != len(arrays['sen-2-data']):
        raise DataError(path, 'expected sen-2-masks (T, 2, H, W), found '
                        f'{None if masks is None else masks.shape}',
                        'download it again')
    return arrays


def _days(products: Sequence[bytes], path: Path) -> list[str]:
    days = []
    for product in products:
        found = _DAY.search(product if isinstance(product, bytes)
                            else str(product).encode())
        try:
            days.append(date(*map(int, found.groups())).isoformat()
                        if found else '')
        except ValueError:
            days.append('')
        if not days[-1]:
            raise DataError(path, 'expected the name of a product with its '
                            f'day, found {product!r}', 'download it again')
    return days


def clearest_dates(cloudy: np.ndarray, number: int) -> np.ndarray:
    """The clearest date of each of ``number`` equal parts of a series.

    Args:
        cloudy: Share of cloudy pixels (T,), in order of time.
        number: At most so many dates.

    Returns:
        Indices in order; dates that are all cloudy are left out, unless all
        are.
    """
    parts = np.array_split(np.arange(len(cloudy)), min(number, len(cloudy)))
    best = np.array([part[cloudy[part].argmin()] for part in parts])
    clear = best[cloudy[best] < 1]
    return clear if len(clear) else best[:1]


def convert_one(item: ConversionItem, out_dir: Path,
                dates: int) -> ItemResult:
    """Write the rasters of one site."""
    image_path, genera = item.payload
    image = read_image(image_path)
    if len(image) != 4 or image.dtype != np.uint8:
        raise DataError(image_path, 'expected 4 bands of uint8 (near '
                        f'infrared, green, blue, red), found {len(image)} of '
                        f'{image.dtype}', 'download it again')
    name, arrays = item.key, read_series(item.source)
    tile: dict[str, Any] = dict(id=name, split=item.split, label=genera)
    outputs = [f'aerial_rgbn/{name}.tif']
    write_geotiff(out_dir / outputs[0], image, descriptions=AERIAL_BANDS)
    tile['aerial_rgbn'] = list(outputs)

    s2, masks = arrays['sen-2-data'], arrays['sen-2-masks'][:, 1]
    days = _days(arrays['sen-2-products'], item.source)
    order = np.argsort(days, kind='stable')
    clouds = masks > CLOUDY
    chosen = order[clearest_dates(clouds[order].mean((1, 2)), dates)]
    # Clouds are not measured ground: nodata.
    s2 = np.where(clouds[:, None], 0, s2.round()).astype(np.int16)
    written = {'s2_l2a': [(s2[i], days[i], 'S2') for i in chosen]}

    radar = []
    for orbit in _ORBITS:
        power = arrays[f'sen-1-{orbit}-data']
        with np.errstate(divide='ignore', invalid='ignore'):
            decibel = 10 * np.log10(np.where(power > 0, power, np.nan))
        radar += [
            (values.astype(np.float32), day, f'S1{orbit}')
            for values, day in zip(
                decibel, _days(arrays[f'sen-1-{orbit}-products'],
                               item.source), strict=True)
            if np.isfinite(values).any()]
    radar.sort(key=lambda entry: entry[1:])
    spread = np.linspace(0, len(radar) - 1, min(dates, len(radar)))
    written['s1_grd'] = [radar[i] for i in spread.round().astype(int)]
    for sensor, entries in written.items():
        files = [f'{sensor}/{name}/{title}_{day.replace("-", "")}.tif'
                 for _, day, title in entries]
        # One day may have two products; the first is kept.
        first = {file: entry for file, entry in zip(
            reversed(files), reversed(entries), strict=True)}
        tile[sensor] = sorted(first, key=lambda file: first[file][1])
        tile[f'{sensor}_dates'] = [first[f][1] for f in tile[sensor]]
        for file in tile[sensor]:
            write_geotiff(
                out_dir / file, first[file][0],
                nodata=0.0 if sensor == 's2_l2a' else float('nan'),
                descriptions=get_sensor(sensor).band_names)
        outputs += tile[sensor]
    return ItemResult(tuple(outputs), dict(tile=tile))


def convert_treesatai(root: str, out: str, dates: int = 12, workers: int = 1,
                      skip_bad: bool = False,
                      partial: bool = False) -> ConversionReport:
    """Convert the download; see ``tools/dataset_converters/treesatai.py``.

    Args:
        root: Folder of the download.
        out: Folder to write, ``data_root`` of the config.
        dates: At most so many dates of each of Sentinel-2 and Sentinel-1.
        workers: Processes.
        skip_bad: List damaged sites and go on.
        partial: Accept another number of sites, and leave sites out whose
            files are not there.

    Returns:
        The report; ``OUT/index.json`` is what the dataset reads.

    Raises:
        ValueError: ``dates`` below 1.
        DataError: The download is not as published.
    """
    if dates < 1:
        raise ValueError(f'dates={dates}: expected at least 1')
    defects = Defects(skip_bad)
    items = find_items(Path(root), partial, defects)
    verify_total(len(items), SITES, 'sites', root, partial, defects)
    tell_empty_splits(items, SPLITS, root)
    report = run_conversion(
        items, functools.partial(convert_one, dates=dates), out, workers,
        skip_bad, dict(dates=dates), 'TreeSatAI', defects)
    write_json(Path(out) / 'index.json', dict(
        version=INDEX_VERSION,
        tiles=[r.record['tile'] for r in report.results.values()]))
    return report
