# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Semantic segmentation from several sensors at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from mmskysense.registry import DATASETS
from mmskysense.sensors import get_sensors
from mmskysense.utils.palette import default_palette

from .class_pixels import classes_of_label
from .tile_index import check_files, read_index, split_names, tile_paths


@DATASETS.register_module()
class MultiSensorSegDataset(BaseDataset):
    """Samples with the files of several sensors and one label raster.

    Two layouts: an index file (see :mod:`.tile_index`), whose key
    ``label_key`` names the label; or one folder for each sensor and one for
    labels, with equal file names but for the suffix, as Sen1Floods11 and
    most published chips have it::

        MultiSensorSegDataset(
            data_root='sen1floods11', sensors=['s1_grd', 's2_l2a'],
            data_prefix=dict(s1_grd='S1', s2_l2a='S2', seg_map='label'),
            suffixes=dict(s1_grd='_S1Hand.tif', s2_l2a='_S2Hand.tif',
                          seg_map='_LabelHand.tif'),
            ann_file='splits/train.txt',
            metainfo=dict(classes=('land', 'water')))

    ``ann_file`` lists one name per line, without suffix (a suffix, or more
    columns after a comma, are cut off); without it, all files of the label
    folder are used. Evaluates with mmseg's stock ``IoUMetric``.

    Args:
        sensors: Names in the sensor table.
        index: Index file, or None for the folder layout.
        split: Keep only tiles of this split (index layout).
        label_key: Key of the label in the index.
        suffixes: Sensor or ``seg_map`` -> what follows the name.
        reduce_zero_label: File value 0 means "no label", 1 is class 0.
        label_map: File value -> class id (255 = ignore).
        ignore_index: Class id of pixels without a label.
        check_files: ``'exists'``, ``'open'`` or False.
        reader_options: Sensor -> options of ``RasterReader``.
        **kwargs: Of mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: An index, list, folder or file is missing.
        ValueError: Classes are missing or no sample is left.
    """

    def __init__(
            self,
            sensors: Sequence[str],
            index: str | None = None,
            split: str | None = None,
            label_key: str = 'land_cover',
            suffixes: Mapping[str, str] | None = None,
            reduce_zero_label: bool = False,
            label_map: Mapping[int, int] | None = None,
            ignore_index: int = 255,
            check_files: str | bool = 'exists',
            reader_options: Mapping[str, Mapping[str, Any]] | None = None,
            metainfo: Mapping[str, Any] | None = None,
            **kwargs: Any) -> None:
        if not metainfo or 'classes' not in metainfo:
            raise ValueError(
                'MultiSensorSegDataset: expected metainfo=dict(classes=(...))'
                f', found {metainfo}; name the classes in order of their ids')
        self.sensors = tuple(s.name for s in get_sensors(sensors))
        self.index, self.split, self.label_key = index, split, label_key
        self.suffixes = dict(suffixes or {})
        self.reduce_zero_label = reduce_zero_label
        self.label_map = None if label_map is None else {
            int(old): int(new)
            for old, new in label_map.items()
        }
        self.ignore_index = ignore_index
        self.check_files = check_files
        self.reader_options = reader_options
        metainfo = dict(metainfo)
        classes = tuple(metainfo['classes'])
        metainfo.setdefault('palette', default_palette(len(classes)))
        metainfo.update(
            label_map=self.label_map, reduce_zero_label=reduce_zero_label)
        if index is not None:
            kwargs['ann_file'] = index
        super().__init__(metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the samples and check their files."""
        samples = (
            self._from_folders() if self.index is None else
            self._from_index())
        files: list[tuple[str, str | None]] = []
        for sample in samples:
            sample.update(
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                num_classes=len(self.metainfo['classes']),
                seg_fields=[])
            for sensor, paths in sample['paths'].items():
                files += [(path, sensor) for path in paths]
            if 'seg_map_path' in sample:
                files.append((sample['seg_map_path'], None))
            present = [p[0] for p in sample['paths'].values() if p]
            sample['img_path'] = present[0]
        check_files(self.ann_file or str(self.data_root), files,
                    self.check_files, self.reader_options)
        return samples

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes in a label, for mmengine's ``ClassBalancedDataset``."""
        return classes_of_label(self, idx)

    def _is_wanted(self, tile: Mapping[str, Any]) -> bool:
        """Whether a tile of the index belongs to this dataset."""
        return self.split is None or tile.get('split') == self.split

    def _from_index(self) -> list[dict]:
        index = self.ann_file
        tiles = read_index(index)
        samples = []
        for tile in tiles:
            if not self._is_wanted(tile):
                continue
            sample: dict[str, Any] = dict(
                tile_id=tile['id'], paths={}, acquired={})
            for sensor in self.sensors:
                sample['paths'][sensor], sample['acquired'][sensor] = \
                    tile_paths(index, tile, sensor)
            if not any(sample['paths'].values()):
                raise ValueError(f"{index}: tile '{tile['id']}' has no file "
                                 f'of {", ".join(self.sensors)}')
            if self.label_key in tile:
                sample['seg_map_path'] = tile_paths(index, tile,
                                                    self.label_key)[0][0]
            elif not self.test_mode:
                raise ValueError(
                    f"{index}: tile '{tile['id']}' has no label "
                    f"'{self.label_key}'; it has {sorted(tile)}")
            samples.append(sample)
        if not samples:
            raise ValueError(
                f"{index}: expected tiles of split '{self.split}', found "
                f'{len(tiles)} tiles of splits {split_names(tiles)}')
        return samples

    def _suffix(self, key: str) -> str:
        return self.suffixes.get(key, '.tif')

    def _from_folders(self) -> list[dict]:
        missing = [
            key for key in (*self.sensors, 'seg_map')
            if key not in self.data_prefix
        ]
        if missing:
            raise ValueError(
                'MultiSensorSegDataset: data_prefix has no folder of '
                f'{missing}, found {dict(self.data_prefix)}')
        samples = []
        for name in self._names():
            def path(key: str, name: str = name) -> str:
                return os.path.join(self.data_prefix[key],
                                    name + self._suffix(key))

            samples.append(
                dict(
                    tile_id=name,
                    paths={s: [path(s)]
                           for s in self.sensors},
                    acquired={s: [None]
                              for s in self.sensors},
                    seg_map_path=path('seg_map')))
        return samples

    def _names(self) -> list[str]:
        """Sample names from the list file, or from the label folder."""
        cut = sorted({self._suffix(k) for k in (*self.sensors, 'seg_map')},
                     key=len,
                     reverse=True)
        if self.ann_file:
            if not os.path.isfile(self.ann_file):
                raise FileNotFoundError(
                    f'{self.ann_file}: expected a list of sample names, one '
                    'per line, found no such file; correct ann_file')
            with open(self.ann_file, encoding='utf-8') as file:
                lines = [line.split(',')[0].strip() for line in file]
        else:
            folder = self.data_prefix['seg_map']
            if not os.path.isdir(folder):
                raise FileNotFoundError(
                    f'{folder}: expected the folder of labels, found none; '
                    'correct data_root or data_prefix')
            lines = sorted(n for n in os.listdir(folder)
                           if n.endswith(self._suffix('seg_map')))
        names = []
        for line in lines:
            for suffix in cut:
                if line.endswith(suffix):
                    line = line[:-len(suffix)]
                    break
            if line:
                names.append(line)
        if not names:
            raise ValueError(
                f"{self.ann_file or self.data_prefix['seg_map']}: expected "
                'at least one sample name, found none')
        return names
