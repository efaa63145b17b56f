# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""DynamicEarthNet as pairs of months, for semantic change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmskysense.registry import DATASETS

from .dynamicearthnet import DynamicEarthNetDataset


@DATASETS.register_module()
class DynamicEarthNetChangeDataset(DynamicEarthNetDataset):
    """Pairs of months of one area, for binary and semantic change.

    The published score, SCS, compares each month with the next one: a pixel
    has changed where its class differs (Toker et al., CVPR 2022). A sample
    has, for one sensor, what mmseg's change detection datasets have, and the
    label of each month:

    - img_path, img_path2: the first image of the earlier and later month.
    - seg_map_path, seg_map_path2: their labels.
    - paths, acquired: sensor -> both files and dates, which
      ``LoadMultiSensorTile`` reads as a series of two.
    - tile_id: ``AREA/MONTH/MONTH``; cube_id: the area.

    Args:
        sensors: One sensor; both months must have it.
        gap: Months between the two; 1, as SCS is published.
        **kwargs: Of :class:`DynamicEarthNetDataset`.

    Raises:
        ValueError: Several sensors, an impossible gap, or no pair.
    """

    def __init__(self,
                 sensors: Sequence[str] = ('s2_l2a', ),
                 gap: int = 1,
                 **kwargs: Any) -> None:
        if len(sensors) != 1:
            raise ValueError('DynamicEarthNetChangeDataset: expected one '
                             f'sensor, found {tuple(sensors)}')
        if gap < 1:
            raise ValueError(f'DynamicEarthNetChangeDataset: gap={gap}, '
                             'expected at least 1 month')
        self.gap = gap
        super().__init__(sensors=sensors, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the pairs, area by area in order of time."""
        months = {
            (area, _number(month)): sample
            for sample in super().load_data_list()
            for area, month in [sample['tile_id'].rsplit('/', 1)]
        }
        pairs = [
            self._pair(sample, months[area, month + self.gap], area)
            for (area, month), sample in sorted(months.items(),
                                                key=lambda item: item[0])
            if (area, month + self.gap) in months
        ]
        if not pairs:
            raise ValueError(
                f'{self.ann_file}: expected months of one area that lie '
                f"{self.gap} apart in split '{self.split}', found none")
        return pairs

    def _pair(self, before: dict, after: dict, area: str) -> dict:
        sensor, = self.sensors
        return {
            **before,
            'tile_id': '/'.join((area, before['tile_id'].rsplit('/', 1)[1],
                                 after['tile_id'].rsplit('/', 1)[1])),
            'cube_id': area,
            'img_path2': after['img_path'],
            'seg_map_path2': after['seg_map_path'],
            'paths': {
                sensor: [before['img_path'], after['img_path']]
            },
            'acquired': {
                sensor: [
                    before['acquired'][sensor][0], after['acquired'][sensor][0]
                ]
            }
        }


def _number(month: str) -> int:
    """Months since year 0 of ``'2018-01'``."""
    year, number = month.split('-')
    return 12 * int(year) + int(number) - 1
