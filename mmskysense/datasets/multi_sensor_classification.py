# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Scene classification from an index: several sensors, one or many labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from mmskysense.registry import DATASETS
from mmskysense.sensors import get_sensors

from .tile_index import check_files, read_index, split_names, tile_paths


@DATASETS.register_module()
class MultiSensorClsDataset(BaseDataset):
    """Samples with the files of one or more sensors and classes of the whole.

    The index (see :mod:`.tile_index`) names under ``label_key`` one class
    id, or a list of ids where a sample may have several classes. A sample
    has ``paths`` and ``acquired`` for :class:`LoadMultiSensorTile`,
    ``img_path`` (the first file, for :class:`LoadGeoTIFF`), and ``gt_label``
    (one class) or ``gt_score`` (many: float32 (classes,) of 0 and 1), as
    mmpretrain expects.

    Args:
        sensors: Names in the sensor table.
        index: Index file.
        split: Keep only tiles of this split; None keeps all.
        label_key: Key of the class id or ids in the index.
        multi_label: Whether a sample has a list of classes.
        fraction: Keep this share of the samples, drawn by ``seed`` without
            regard to classes; for protocols such as "10 % of the labels".
        seed: Of the draw. The samples of a smaller fraction are among those
            of a larger one.
        require: Leave samples out that lack a file of one of these sensors.
        check_files: ``'exists'``, ``'open'`` or False.
        reader_options: Sensor -> options of ``RasterReader``.
        metainfo: With ``classes``, names in order of the ids.
        **kwargs: Of mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: The index or a file is missing.
        ValueError: Classes are missing, a label is not among them, or no
            sample is left.
    """

    METAINFO: dict = {}

    def __init__(
            self,
            sensors: Sequence[str],
            index: str = 'index.json',
            split: str | None = None,
            label_key: str = 'label',
            multi_label: bool = False,
            fraction: float = 1.0,
            seed: int = 0,
            require: Sequence[str] = (),
            check_files: str | bool = 'exists',
            reader_options: Mapping[str, Mapping[str, Any]] | None = None,
            metainfo: Mapping[str, Any] | None = None,
            **kwargs: Any) -> None:
        metainfo = {**self.METAINFO, **(metainfo or {})}
        if 'classes' not in metainfo:
            raise ValueError(
                f'{type(self).__name__}: expected metainfo=dict(classes=(...'
                f')), found {metainfo}; name the classes in order of their '
                'ids')
        if not 0 < fraction <= 1:
            raise ValueError(f'{type(self).__name__}: fraction={fraction}, '
                             'expected more than 0 and at most 1')
        self.sensors = tuple(s.name for s in get_sensors(sensors))
        unknown = sorted(set(require) - set(self.sensors))
        if unknown:
            raise ValueError(f'{type(self).__name__}: require names {unknown}'
                             f', expected some of {list(self.sensors)}')
        self.split, self.label_key = split, label_key
        self.multi_label = multi_label
        self.fraction, self.seed = fraction, seed
        self.require = tuple(require)
        self.check_files, self.reader_options = check_files, reader_options
        super().__init__(ann_file=index, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the samples and check their files."""
        index = self.ann_file
        tiles = read_index(index)
        samples = []
        for tile in tiles:
            if self.split is not None and tile.get('split') != self.split:
                continue
            sample: dict[str, Any] = dict(
                tile_id=tile['id'], paths={}, acquired={})
            for sensor in self.sensors:
                sample['paths'][sensor], sample['acquired'][sensor] = \
                    tile_paths(index, tile, sensor)
            if not all(sample['paths'][sensor] for sensor in self.require):
                continue
            files = [path for paths in sample['paths'].values()
                     for path in paths]
            if not files:
                raise ValueError(f"{index}: tile '{tile['id']}' has no file "
                                 f'of {", ".join(self.sensors)}')
            sample['img_path'] = files[0]
            self._add_label(sample, tile)
            samples.append(sample)
        if not samples:
            wanted = '' if self.split is None else f" of split '{self.split}'"
            raise ValueError(
                f'{index}: expected tiles{wanted}, found {len(tiles)} tiles '
                f'of splits {split_names(tiles)}, none of them with all of '
                f'{list(self.require or self.sensors)}')
        samples = self._subset(samples)
        check_files(index,
                    [(path, sensor) for sample in samples
                     for sensor, paths in sample['paths'].items()
                     for path in paths], self.check_files,
                    self.reader_options)
        return samples

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes of a sample, for mmengine's ``ClassBalancedDataset``."""
        sample = self.get_data_info(idx)
        if 'gt_label' in sample:
            return [int(sample['gt_label'])]
        return np.flatnonzero(sample['gt_score']).tolist()

    def _add_label(self, sample: dict[str, Any],
                   tile: Mapping[str, Any]) -> None:
        """The class id as ``gt_label``, or the ids as ``gt_score``."""
        label = tile.get(self.label_key)
        ids = label if isinstance(label, list) else [label]
        count = len(self.metainfo['classes'])
        if isinstance(label, list) != self.multi_label or not all(
                isinstance(number, int) and 0 <= number < count
                for number in ids):
            what = 'a list of class ids' if self.multi_label else 'a class id'
            raise ValueError(
                f"{self.ann_file}: tile '{sample['tile_id']}': expected "
                f"'{self.label_key}' to be {what} from 0 to {count - 1}, "
                f'found {label!r}; correct metainfo.classes, multi_label or '
                'the index')
        if self.multi_label:
            sample['gt_score'] = np.zeros(count, np.float32)
            sample['gt_score'][ids] = 1
        else:
            sample['gt_label'] = label

    def _subset(self, samples: list[dict]) -> list[dict]:
        """A seeded share of the samples, in their order."""
        if self.fraction == 1:
            return samples
        order = np.random.default_rng(self.seed).permutation(len(samples))
        count = max(1, round(self.fraction * len(samples)))
        return [samples[number] for number in sorted(order[:count])]
