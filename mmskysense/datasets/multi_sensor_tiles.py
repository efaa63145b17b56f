# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tiles with several sensors and dates, for pre-training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from mmskysense.raster.location import check_location
from mmskysense.registry import DATASETS
from mmskysense.sensors import get_sensors

from .tile_index import check_files, read_index, split_names, tile_paths


@DATASETS.register_module()
class MultiSensorTileDataset(BaseDataset):
    """The tiles of an index file (see :mod:`.tile_index`).

    A sample has ``tile_id``, ``split``, ``paths`` (sensor -> list of files)
    and ``acquired`` (sensor -> list of ISO dates or None), as
    :class:`LoadMultiSensorTile` needs them; ``location``, float32 (2,),
    longitude and latitude in degrees, where the index says it; and
    ``label_path`` (None for a tile without labels) with a ``label_key``.

    Args:
        index: JSON file, relative to ``data_root`` unless absolute.
        sensors: Names in the sensor table; a tile needs at least one.
        split: Keep only tiles of this split (or these); None keeps all.
        label_key: Key of the index that names a tile's label raster, such as
            ``'osm'``; tiles may lack it.
        check_files: ``'exists'``, ``'open'`` (also bands and data type) or
            False: what is checked before training starts.
        reader_options: Sensor -> options of ``RasterReader``, for
            ``check_files='open'``.
        **kwargs: Of mmengine's ``BaseDataset``: ``data_root, pipeline,
            indices, lazy_init, test_mode, ...``.

    Raises:
        FileNotFoundError: The index, or a file that it names, is missing.
        ValueError: Malformed index, no tile is left, or none has the
            ``label_key``.
    """

    def __init__(
            self,
            index: str = 'index.json',
            sensors: Sequence[str] = ('hr_rgb', 's2_l2a', 's1_grd'),
            split: str | Sequence[str] | None = None,
            check_files: str | bool = 'exists',
            reader_options: Mapping[str, Mapping[str, Any]] | None = None,
            label_key: str | None = None,
            **kwargs: Any) -> None:
        self.sensors = tuple(s.name for s in get_sensors(sensors))
        self.split = (split, ) if isinstance(split, str) else split
        self.label_key = label_key
        self.check_files = check_files
        self.reader_options = reader_options
        # BaseDataset joins ann_file with data_root unless it is absolute.
        super().__init__(ann_file=index, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the index, keep the split, check the files."""
        index = self.ann_file
        tiles = read_index(index)
        kept = [
            tile for tile in tiles
            if self.split is None or tile.get('split') in self.split
        ]
        if not kept:
            raise ValueError(
                f'{index}: expected tiles of split {self.split}, found '
                f'{len(tiles)} tiles of splits {split_names(tiles)}')
        samples: list[dict] = []
        files: list[tuple[str, str | None]] = []
        for tile in kept:
            sample: dict[str, Any] = dict(
                tile_id=tile['id'], split=tile.get('split'), paths={},
                acquired={})
            for sensor in self.sensors:
                paths, days = tile_paths(index, tile, sensor)
                sample['paths'][sensor] = paths
                sample['acquired'][sensor] = days
                files += [(path, sensor) for path in paths]
            if not any(sample['paths'].values()):
                raise ValueError(
                    f"{index}: tile '{tile['id']}' has no file of "
                    f'{", ".join(self.sensors)}; correct sensors= or the '
                    'index')
            self._add_label_and_location(sample, tile)
            if sample.get('label_path') is not None:
                files.append((sample['label_path'], None))
            samples.append(sample)
        if self.label_key is not None and not any(
                sample['label_path'] for sample in samples):
            raise ValueError(
                f"{index}: expected tiles with labels '{self.label_key}', "
                f'found none among {len(samples)} tiles; build the index '
                f'with --label {self.label_key}=FOLDER, or pass '
                'label_key=None to train without labels')
        check_files(os.fspath(index), files, self.check_files,
                    self.reader_options)
        return samples

    def _add_label_and_location(self, sample: dict[str, Any],
                                tile: Mapping[str, Any]) -> None:
        index = self.ann_file
        if self.label_key is not None:
            paths, _ = tile_paths(index, tile, self.label_key)
            if len(paths) > 1:
                raise ValueError(
                    f"{index}: tile '{tile['id']}' has {len(paths)} files of "
                    f"'{self.label_key}', expected one label raster")
            sample['label_path'] = paths[0] if paths else None
        if tile.get('location') is not None:
            sample['location'] = np.array(check_location(
                f"{index}: tile '{tile['id']}'", tile['location']),
                                          dtype=np.float32)
