# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""DynamicEarthNet: monthly land cover from Planet, Sentinel-2, Sentinel-1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

from mmskysense.registry import DATASETS

from .multi_sensor_segmentation import MultiSensorSegDataset


@DATASETS.register_module()
class DynamicEarthNetDataset(MultiSensorSegDataset):
    """DynamicEarthNet (Toker et al., CVPR 2022), a month a sample.

    55 labelled areas of 1024x1024 pixels of 3 m, 24 months each; a sample
    has the Planet images of the month, its Sentinel-2 and Sentinel-1
    composites, and one label. The authors' code ignores the seventh class,
    snow and ice; so do the labels that
    ``tools/dataset_converters/dynamicearthnet.py`` writes. Metric: mIoU.

    Args:
        sensors: Any of ``planetscope``, ``s2_l2a``, ``s1_grd``.
        split: ``'train'``, ``'val'`` or ``'test'`` of the published lists.
        index: Index file that the converter wrote.
        require: Sensors without which a month is left out: some months lack
            their Sentinel composites. Default: all, if there is one sensor;
            otherwise a month needs one of them.
        **kwargs: Of :class:`MultiSensorSegDataset`.
    """

    METAINFO: dict = dict(
        classes=('impervious surface', 'agriculture',
                 'forest and other vegetation', 'wetlands', 'soil', 'water'),
        palette=[[96, 96, 96], [204, 204, 0], [0, 204, 0], [0, 0, 153],
                 [153, 76, 0], [0, 128, 255]])

    def __init__(self,
                 sensors: Sequence[str] = ('planetscope', ),
                 split: str | None = 'train',
                 index: str = 'index.json',
                 require: Sequence[str] | None = None,
                 metainfo: Mapping[str, Any] | None = None,
                 **kwargs: Any) -> None:
        if require is None:
            require = sensors if len(sensors) == 1 else ()
        self.require = tuple(require)
        self._left_out = 0
        super().__init__(
            sensors=sensors,
            split=split,
            index=index,
            metainfo={
                **self.METAINFO,
                **(metainfo or {})
            },
            **kwargs)

    def _is_wanted(self, tile: Mapping[str, Any]) -> bool:
        if not super()._is_wanted(tile):
            return False
        wanted = all(tile.get(sensor) for sensor in self.require) and any(
            tile.get(sensor) for sensor in self.sensors)
        self._left_out += not wanted
        return wanted

    def load_data_list(self) -> list[dict]:
        """List the months; say how many lack a sensor."""
        self._left_out = 0
        samples = super().load_data_list()
        if self._left_out:
            print_log(
                f"DynamicEarthNetDataset: {self._left_out} months of split "
                f"'{self.split}' are left out, they lack "
                f'{", ".join(self.require or self.sensors)}', 'current')
        return samples
