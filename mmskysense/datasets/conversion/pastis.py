# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""PASTIS, PASTIS-R and PASTIS-HD as published to rasters by date."""

from __future__ import annotations

import functools
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.warp import transform as transform_points

from mmskysense.datasets.tile_index import INDEX_VERSION
from mmskysense.sensors import get_sensor

from .defects import Defects
from .errors import DataError
from .files import (
    read_image,
    read_json,
    write_geotiff,
    write_json,
    write_png,
)
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import IGNORE
from .verification import check_label_values, verify_total

#: Published number of patches.
NUM_PATCHES = 2433
#: Label value of parcels whose crop is not among the 18.
VOID = 19
FOLDS = {1: 'train', 2: 'train', 3: 'train', 4: 'val', 5: 'test'}
#: Folder and file prefix -> sensor and number of bands in the array.
SERIES = {'S2': ('s2_l2a', 10), 'S1A': ('s1_grd', 3), 'S1D': ('s1_grd', 3)}
SPOT = 'DATA_SPOT/PASTIS_SPOT6_RVB_1M00_2019/SPOT6_RVB_1M00_2019_{}.tif'
#: The projection of the published outlines, Lambert-93.
OUTLINE_CRS = 'EPSG:2154'


def find_items(root: Path, sensors: tuple[str, ...],
               defects: Defects | None = None) -> list[ConversionItem]:
    """One item for each patch of ``metadata.geojson``.

    Args:
        root: Folder of the download.
        sensors: Those to convert.
        defects: Takes bad entries; raises by default.

    Raises:
        DataError: The file is missing or damaged, a patch lacks a property
            or a file, or an id is there twice.
    """
    path = root / 'metadata.geojson'
    content = read_json(path)
    features = content.get('features') if isinstance(content, dict) else None
    if not isinstance(features, list) or not features:
        raise DataError(path, 'expected a FeatureCollection of patches, found '
                        'none', 'download it again')
    defects = defects or Defects()
    items: dict[str, ConversionItem] = {}
    for number, feature in enumerate(features):
        with defects.leave_out():
            item = _read_feature(feature, number, path, root, sensors)
            if item.key in items:
                raise DataError(path, f'feature {number}: patch {item.key} is '
                                'there twice', 'remove one of them')
            items[item.key] = item
    return list(items.values())


def _read_feature(feature: Any, number: int, path: Path, root: Path,
                  sensors: tuple[str, ...]) -> ConversionItem:
    properties = (feature.get('properties') if isinstance(feature, dict)
                  else None) or {}
    missing = [key for key in ('ID_PATCH', 'Fold', 'dates-S2')
               if key not in properties]
    if missing:
        raise DataError(path, f'feature {number} has no {missing[0]}',
                        'download it again')
    patch, fold = str(properties['ID_PATCH']), properties['Fold']
    if type(fold) is not int or fold not in FOLDS:
        raise DataError(path, f'patch {patch} is in fold {fold}, expected 1 '
                        'to 5', 'download it again')
    return ConversionItem(
        patch, root / 'ANNOTATIONS' / f'TARGET_{patch}.npy', FOLDS[fold],
        dict(
            # As text: the folder's other patches are none of its files.
            root=str(root),
            files=[root / f'DATA_{name}' / f'{name}_{patch}.npy'
                   for name, (sensor, _) in SERIES.items()
                   if sensor in sensors] + [root / SPOT.format(patch)],
            fold=fold,
            location=_location(feature.get('geometry'), path, patch),
            dates={
                name: _dates(properties.get(f'dates-{name}'), path, patch)
                for name, (sensor, _) in SERIES.items() if sensor in sensors
            }))


def _location(geometry: dict | None, path: Path,
              patch: str) -> list[float] | None:
    """Longitude and latitude of an outline's middle."""
    if not geometry:
        return None
    try:
        rings = geometry['coordinates']
        if geometry['type'] == 'MultiPolygon':
            rings = [ring for polygon in rings for ring in polygon]
        points = np.concatenate([np.asarray(ring, float)[:, :2]
                                 for ring in rings])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(path, f'patch {patch}: expected the outline as a '
                        f'Polygon or MultiPolygon, found {error!r}',
                        'download it again') from None
    middle = (points.min(0) + points.max(0)) / 2
    longitude, latitude = transform_points(
        OUTLINE_CRS, 'EPSG:4326', [middle[0]], [middle[1]])
    return [round(longitude[0], 6), round(latitude[0], 6)]


def _dates(value: Any, path: Path, patch: str) -> list[str] | None:
    """Dates of a series, in order of its array; None if it has none.

    Published as ``{"0": 20180917, ...}``, as an object or as its text.
    """
    if value is None:
        return None
    try:
        table = json.loads(value) if isinstance(value, str) else value
        ordered = [str(table[key]) for key in sorted(table, key=int)]
        return [
            date(int(day[:4]), int(day[4:6]), int(day[6:])).isoformat()
            for day in ordered
        ]
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise DataError(path, f'patch {patch}: expected dates such as '
                        f'20180917, found {str(value)[:60]} ({error})',
                        'download it again') from None


def _array(path: Path, bands: int | None = None) -> np.ndarray:
    """Load a NumPy file; (T, bands, H, W) if ``bands`` is given."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(path, 'expected this file, found none',
                        'complete the download') from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(path, f'expected a NumPy array, found {error}',
                        'download it again') from None
    if bands is not None and (array.ndim != 4 or array.shape[1] != bands):
        raise DataError(path, f'expected an array (T, {bands}, H, W), found '
                        f'{array.shape}', 'download it again')
    return array


def convert_one(item: ConversionItem, out_dir: Path,
                sensors: tuple[str, ...]) -> ItemResult:
    """Write the rasters of one patch."""
    payload, patch = item.payload, item.key
    root = Path(payload['root'])
    target = _array(item.source)
    if target.ndim != 3:
        raise DataError(item.source, 'expected an array (3, H, W), found '
                        f'{target.shape}', 'download it again')
    label = target[0]
    check_label_values(label, range(VOID + 1), item.source)
    label = np.where(label == VOID, IGNORE, label).astype(np.uint8)
    outputs = [f'labels/{patch}.png']
    write_png(out_dir / outputs[0], label)
    tile: dict[str, Any] = dict(id=patch, split=item.split,
                                fold=payload['fold'], crop_type=outputs[0])
    if payload['location']:
        tile['location'] = payload['location']
    for name, days in payload['dates'].items():
        sensor, bands = SERIES[name]
        path = root / f'DATA_{name}' / f'{name}_{patch}.npy'
        if days is None:
            raise DataError(root / 'metadata.geojson',
                            f'patch {patch} has no dates-{name}',
                            'take the metadata of PASTIS-R or PASTIS-HD, or '
                            'leave s1_grd out of --sensors')
        array = _array(path, bands)
        if len(array) != len(days) or array.shape[2:] != label.shape:
            raise DataError(
                path, f'expected {len(days)} dates of {label.shape} as the '
                f'metadata and the label say, found {array.shape}',
                'download it again')
        files = _write_series(array, days, sensor, path, out_dir)
        outputs += files
        tile.setdefault(sensor, []).extend(files)
        tile.setdefault(f'{sensor}_dates', []).extend(days)
    if 'hr_rgb' in sensors:
        path = root / SPOT.format(patch)
        image = read_image(path)
        if image.shape[0] != 3 or image.dtype != np.uint8:
            raise DataError(path, 'expected 3 bands of 8 bits, found '
                            f'{image.shape[0]} of {image.dtype}',
                            'download it again')
        outputs.append(f'hr_rgb/{patch}.png')
        write_png(out_dir / outputs[-1], image.transpose(1, 2, 0))
        tile['hr_rgb'], tile['hr_rgb_dates'] = [outputs[-1]], [None]
    values, counts = np.unique(label, return_counts=True)
    return ItemResult(
        tuple(outputs),
        dict(
            tile=tile,
            classes={
                str(v): int(c)
                for v, c in zip(values, counts, strict=True)
            }))


def _write_series(array: np.ndarray, days: list[str], sensor: str,
                  path: Path, out_dir: Path) -> list[str]:
    """One GeoTIFF a date, in the sensor's bands; returns their names.

    The third band of the radar arrays (VV - VH) says nothing new and is left
    out. Sentinel-2 values below the sensor's range are fill: they become 0,
    its nodata value.
    """
    name, _, patch = path.stem.partition('_')  # S2_10000.npy
    entry = get_sensor(sensor)
    array = array[:, :entry.num_bands]
    nodata = 0.0
    if sensor == 's2_l2a':
        fill = (array < entry.valid_range[0]).any(1, keepdims=True)
        array = np.where(fill, 0, array).astype(np.int16)
    else:
        array, nodata = array.astype(np.float32), float('nan')
    names = []
    for image, day in zip(array, days, strict=True):
        names.append(f'{sensor}/{patch}/{name}_{day.replace("-", "")}.tif')
        write_geotiff(out_dir / names[-1], image, nodata=nodata,
                      descriptions=entry.band_names)
    if len(set(names)) != len(names):
        raise DataError(
            path, f'two {name} images have the date '
            f'{Counter(days).most_common(1)[0][0]}', 'correct the metadata')
    return names


def convert_pastis(root: str, out: str,
                   sensors: tuple[str, ...] = ('s2_l2a', ),
                   workers: int = 1, skip_bad: bool = False,
                   partial: bool = False) -> ConversionReport:
    """Convert the download; see ``tools/dataset_converters/pastis.py``.

    Args:
        root: Folder with ``metadata.geojson``.
        out: Folder to write, ``data_root`` of the configs.
        sensors: ``s2_l2a``, ``s1_grd`` (PASTIS-R), ``hr_rgb`` (PASTIS-HD).
        workers: Processes.
        skip_bad: List damaged patches and go on.
        partial: Accept another number of patches.

    Returns:
        The report; ``OUT/index.json`` is what the datasets read.
    """
    known = ('s2_l2a', 's1_grd', 'hr_rgb')
    if not sensors or not set(sensors) <= set(known):
        raise ValueError(f'sensors={sensors}: expected some of '
                         f'{", ".join(known)}')
    defects = Defects(skip_bad)
    items = find_items(Path(root), sensors, defects)
    verify_total(len(items), NUM_PATCHES, 'patches', root, partial, defects)
    report = run_conversion(
        items, functools.partial(convert_one, sensors=sensors), out, workers,
        skip_bad, dict(sensors=sorted(sensors)), 'PASTIS', defects)
    write_json(
        Path(out) / 'index.json',
        dict(
            version=INDEX_VERSION,
            tiles=[r.record['tile'] for r in report.results.values()]))
    return report
