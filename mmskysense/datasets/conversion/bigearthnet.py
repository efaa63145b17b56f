# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""BigEarthNet as published to one raster a sensor and an index a split.

Version 1 is read here (a label file in each patch, lists of the splits), the
table of version 2 in :mod:`.bigearthnet_v2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.datasets.big_earth_net import NOMENCLATURE, WITHOUT_CLASS
from mmskysense.datasets.tile_index import INDEX_VERSION
from mmskysense.sensors import get_sensor

from . import bigearthnet_v2
from .bigearthnet_patches import PATCHES, find_folder, write_rasters
from .defects import Defects
from .errors import DataError
from .files import read_json, read_lines, write_json
from .runner import (
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .scene_tiles import band_statistics
from .verification import verify_counts

#: Patches in the published lists of the splits.
SPLITS = dict(train=269695, val=123723, test=125866)
#: Published lists of patches that the splits leave out.
BAD_LISTS = ('patches_with_seasonal_snow.csv',
             'patches_with_cloud_and_shadow.csv')
METADATA = '_labels_metadata.json'
_CLASS_IDS = {
    label: number
    for number, labels in enumerate(NOMENCLATURE.values()) for label in labels
}


def read_split(path: Path, defects: Defects | None = None
               ) -> list[tuple[int, str, str | None]]:
    """Patches of a list: ``S2_NAME`` or ``S2_NAME,S1_NAME`` a line.

    Returns:
        Line number, Sentinel-2 patch, Sentinel-1 patch or None.

    Raises:
        DataError: A line without a patch (the first may be a header).
    """
    defects = defects or Defects()
    rows = []
    for number, line in read_lines(path):
        names = [field.strip().strip('"') for field in line.split(',')]
        found: dict[str, str | None] = dict.fromkeys(PATCHES)
        for sensor, pattern in PATCHES.items():
            found[sensor] = next((name for name in names
                                  if re.fullmatch(pattern, name)), None)
        if found['s2_l2a'] is None:
            if number == 1 and not any(found.values()):
                continue  # a header
            defects.add(DataError(
                path, 'expected the name of a Sentinel-2 patch, found '
                f"'{line[:80]}'", 'take the published list', number))
            continue
        rows.append((number, found['s2_l2a'], found['s1_grd']))
    return rows


def find_lists(folder: Path) -> dict[str, Path]:
    """Split -> its list: ``train.csv``, ``bigearthnet-train.txt``, ...

    Raises:
        DataError: No list of training patches, or two of a split.
    """
    lists: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        for split in SPLITS:
            if re.fullmatch(rf'(?:.*[-_])?{split}\.(?:csv|txt)', path.name):
                if split in lists:
                    raise DataError(path, 'expected one list of split '
                                    f"'{split}', found {lists[split].name} "
                                    'too', 'remove one of them')
                lists[split] = path
    if 'train' not in lists:
        raise DataError(folder, 'expected the lists train.csv, val.csv and '
                        'test.csv, found no train.csv', 'download the lists '
                        '(docs/datasets), or name their folder with --splits')
    return lists


def find_items(root: Path, splits: Path, sensors: Sequence[str],
               defects: Defects | None = None
               ) -> tuple[list[ConversionItem], dict[str, int]]:
    """One item for each listed patch, without those on the lists of bad ones.

    Args:
        root: Folder of the download.
        splits: Folder of the lists.
        sensors: Those to convert.
        defects: Takes bad entries; raises by default.

    Returns:
        The items, and split -> number of patches that were left out because
        snow, clouds or shadows cover them.

    Raises:
        DataError: A list or a folder is missing, a patch is listed twice, or
            a pair is not known.
    """
    defects = defects or Defects()
    folders = {sensor: find_folder(root, sensor) for sensor in sensors}
    bad: set[str] = set()
    for name in BAD_LISTS:
        for folder in {splits, root}:
            if (folder / name).is_file():
                bad |= {row[1] for row in read_split(folder / name)}
    partners: dict[str, str] | None = None
    items: list[ConversionItem] = []
    excluded: dict[str, int] = {}
    seen: dict[str, str] = {}
    for split, path in find_lists(splits).items():
        excluded[split] = 0
        for number, s2_name, s1_name in read_split(path, defects):
            if s2_name in seen:
                defects.add(DataError(
                    path, f"'{s2_name}' is listed in {seen[s2_name]} too",
                    'remove one of the two lines', number))
                continue
            seen[s2_name] = path.name
            if s2_name in bad:
                excluded[split] += 1
                continue
            if 's1_grd' in sensors and s1_name is None:
                if partners is None:
                    partners = read_partners(folders['s1_grd'], defects)
                s1_name = partners.get(s2_name)
                if s1_name is None:
                    defects.add(DataError(
                        path, f"'{s2_name}' has no Sentinel-1 patch, neither "
                        'in the list nor in the metadata',
                        'complete the download', number))
                    continue
            sources = {'s2_l2a': s2_name, 's1_grd': s1_name}
            patches = {sensor: folders[sensor] / str(sources[sensor])
                       for sensor in sensors}
            first = patches[sensors[0]]
            items.append(ConversionItem(
                s2_name, first / f'{first.name}{METADATA}', split, patches))
    return items, excluded


def read_partners(folder: Path, defects: Defects) -> dict[str, str]:
    """Sentinel-2 patch -> Sentinel-1 patch, by the metadata of the latter."""
    partners = {}
    for patch in sorted(folder.iterdir()):
        path = patch / f'{patch.name}{METADATA}'
        if path.is_file():
            with defects.leave_out():
                partner = _metadata(path)['corresponding_s2_patch']
                partners[partner] = patch.name
    return partners


def _metadata(path: Path) -> dict[str, Any]:
    """Metadata of a patch, with the keys that are used.

    Raises:
        DataError: Missing, no JSON, or a key is missing.
    """
    content = read_json(path)
    wanted = ['labels', 'acquisition_date']
    if path.name.startswith('S1'):
        wanted = ['labels', 'acquisition_time', 'corresponding_s2_patch']
    for key in wanted:
        if not isinstance(content, dict) or key not in content:
            raise DataError(path, f"expected '{key}', found none",
                            'download the file again')
        good = isinstance(content[key], str) if key != 'labels' else (
            isinstance(content[key], list)
            and all(isinstance(label, str) for label in content[key]))
        if not good:
            raise DataError(
                path, f"expected '{key}' to be "
                f"{'a list of names' if key == 'labels' else 'a text'}, found "
                f'{str(content[key])[:60]}', 'download the file again')
    return content


def class_ids(labels: Iterable[str], path: Path) -> list[int]:
    """Published labels (43) to class ids (19), sorted; some have none.

    Raises:
        DataError: A label that is not among the 43.
    """
    ids = set()
    for label in labels:
        if label in _CLASS_IDS:
            ids.add(_CLASS_IDS[label])
        elif label not in WITHOUT_CLASS:
            raise DataError(path, 'expected labels among the 43 published '
                            f"ones, found '{label}'",
                            'the file is damaged or of another version')
    return sorted(ids)


def convert_one(item: ConversionItem, out_dir: Path) -> ItemResult:
    """Write the rasters of one patch."""
    tile: dict[str, Any] = dict(id=item.key, split=item.split)
    folders: dict[str, Path] = item.payload
    for sensor, folder in folders.items():
        path = folder / f'{folder.name}{METADATA}'
        metadata = _metadata(path)
        partner = metadata.get('corresponding_s2_patch', item.key)
        if partner != item.key:
            raise DataError(path, f"expected the partner of '{item.key}', "
                            f"found that of '{partner}'",
                            'correct the list of the split')
        ids = class_ids(metadata['labels'], path)
        if tile.setdefault('labels', ids) != ids:
            raise DataError(path, f'expected the classes {tile["labels"]} of '
                            f'its partner, found {ids}',
                            'the files are of different versions')
        day = metadata.get('acquisition_date',
                           metadata.get('acquisition_time'))
        tile[f'{sensor}_dates'] = [str(day)[:10]]
    rasters = write_rasters(item.key, folders, out_dir)
    tile.update((sensor, [name]) for sensor, name in rasters.files.items())
    return ItemResult(tuple(rasters.files.values()),
                      dict(tile=tile, bands=rasters.bands))


def convert_bigearthnet(root: str, out: str, splits: str | None = None,
                        sensors: Sequence[str] = ('s2_l2a', ),
                        workers: int = 1, skip_bad: bool = False,
                        partial: bool = False
                        ) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/bigearthnet.py``.

    Args:
        root: Folder of the unpacked archives.
        out: Folder to write, ``data_root`` of the configs.
        splits: Folder of the split lists (version 1) or of
            ``metadata.parquet`` (version 2); ``root`` by default.
        sensors: ``s2_l2a``, ``s1_grd`` or both.
        workers: Processes.
        skip_bad: List damaged patches and go on.
        partial: Accept other numbers of patches than published.

    Returns:
        The report, and a summary that is also in ``OUT/conversion.json``;
        ``OUT/SPLIT.json`` is what the datasets read.

    Raises:
        ValueError: Unknown sensors.
        DataError: The download is not as published.
    """
    if not sensors or not set(sensors) <= set(PATCHES):
        raise ValueError(f'sensors={sensors}: expected some of '
                         f'{", ".join(PATCHES)}')
    # Sentinel-2 first: its patch names the sample.
    sensors = [sensor for sensor in PATCHES if sensor in sensors]
    lists = Path(splits or root)
    defects = Defects(skip_bad)
    version = 2 if (lists / bigearthnet_v2.TABLE).is_file() else 1
    if version == 2:
        items, excluded = bigearthnet_v2.find_items(
            Path(root), lists, sensors, defects)
        published, convert = bigearthnet_v2.SPLITS, bigearthnet_v2.convert_one
    else:
        items, excluded = find_items(Path(root), lists, sensors, defects)
        published, convert = SPLITS, convert_one
    verify_counts(items, published, root, partial, defects)
    report = run_conversion(
        items, convert, out, workers, skip_bad,
        dict(sensors=list(sensors), version=version), 'BigEarthNet', defects)
    results = list(report.results.values())
    summary: dict[str, Any] = dict(
        dataset='BigEarthNet', version=version, splits={},
        bad=len(report.bad), snow_or_clouds=excluded)
    names = list(NOMENCLATURE)
    for split in excluded:
        tiles = [result.record['tile'] for result in results
                 if result.record['tile']['split'] == split]
        # As the published lists: without a class there is nothing to learn.
        kept = [tile for tile in tiles if tile['labels']]
        write_json(Path(out) / f'{split}.json',
                   dict(version=INDEX_VERSION, tiles=kept))
        counts = np.bincount([number for tile in kept
                              for number in tile['labels']],
                             minlength=len(names))
        summary['splits'][split] = dict(
            patches=len(kept), without_class=len(tiles) - len(kept),
            classes=dict(zip(names, counts.tolist(), strict=True)))
    for sensor in sensors:
        train = [result.record['bands'][sensor] for result in results
                 if result.record['tile']['split'] == 'train']
        summary[sensor] = dict(bands=list(get_sensor(sensor).band_names),
                               **band_statistics(train))
    write_json(Path(out) / 'conversion.json', summary)
    return report, summary
