# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tiles with several sensors and dates, for pre-training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from mmskysense.registry import DATASETS
from mmskysense.sensors import get_sensors

from .tile_index import check_files, read_index, split_names, tile_paths


@DATASETS.register_module()
class MultiSensorTileDataset(BaseDataset):
    """The tiles of an index file (see :mod:`.tile_index`).

    A sample has ``tile_id``, ``split``, ``paths`` (sensor -> list of files)
    and ``acquired`` (sensor -> list of ISO dates or None), as
    :class:`LoadMultiSensorTile` needs them.

    Args:
        index: JSON file, relative to ``data_root`` unless absolute.
        sensors: Names in the sensor table; a tile needs at least one.
        split: Keep only tiles of this split (or these); None keeps all.
        check_files: ``'exists'``, ``'open'`` (also bands and data type) or
            False: what is checked before training starts.
        reader_options: Sensor -> options of ``RasterReader``, for
            ``check_files='open'``.
        **kwargs: Of mmengine's ``BaseDataset``: ``data_root, pipeline,
            indices, lazy_init, test_mode, ...``.

    Raises:
        FileNotFoundError: The index, or a file that it names, is missing.
        ValueError: Malformed index, or no tile is left.
    """

    def __init__(
            self,
            index: str = 'index.json',
            sensors: Sequence[str] = ('hr_rgb', 's2_l2a', 's1_grd'),
            split: str | Sequence[str] | None = None,
            check_files: str | bool = 'exists',
            reader_options: Mapping[str, Mapping[str, Any]] | None = None,
            **kwargs: Any) -> None:
        self.sensors = tuple(s.name for s in get_sensors(sensors))
        self.split = (split, ) if isinstance(split, str) else split
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
        samples, files = [], []
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
            samples.append(sample)
        check_files(os.fspath(index), files, self.check_files,
                    self.reader_options)
        return samples
