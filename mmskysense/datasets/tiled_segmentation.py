# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Segmentation tiles of one sensor, as the dataset converters write them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmskysense.registry import DATASETS

from .multi_sensor_segmentation import MultiSensorSegDataset


@DATASETS.register_module()
class TiledSegDataset(MultiSensorSegDataset):
    """Images in ``img_dir/SPLIT`` and labels in ``ann_dir/SPLIT``.

    The layout of mmseg's own converters, but with any sensor: GeoTIFFs of
    any number of bands, read by ``LoadGeoTIFF``. Samples go through mmseg's
    stock pipeline. Subclasses name classes, palette and sensor.

    Args:
        split: Folder below ``img_dir`` and ``ann_dir``.
        sensor: Name in the sensor table; default: the class's.
        image_suffix: Ending of image files.
        label_suffix: Ending of label files.
        metainfo: Replaces the class's ``classes`` and ``palette``.
        **kwargs: Of :class:`MultiSensorSegDataset`, such as ``ann_file``, a
            list of names.

    Raises:
        FileNotFoundError: The split is missing, or a file has no partner.
    """

    #: Sensor of the dataset's images.
    SENSOR = 'hr_rgb'

    def __init__(self,
                 split: str = 'train',
                 sensor: str | None = None,
                 image_suffix: str = '.tif',
                 label_suffix: str = '.png',
                 metainfo: Mapping[str, Any] | None = None,
                 data_prefix: Mapping[str, str] | None = None,
                 **kwargs: Any) -> None:
        sensor = sensor or self.SENSOR
        prefix = data_prefix or {
            sensor: os.path.join('img_dir', split),
            'seg_map': os.path.join('ann_dir', split)
        }
        super().__init__(
            sensors=(sensor, ),
            data_prefix=dict(prefix),
            suffixes={
                sensor: image_suffix,
                'seg_map': label_suffix
            },
            metainfo={
                **self.METAINFO,
                **(metainfo or {})
            },
            **kwargs)

    def _names(self) -> list[str]:
        """Names of the split; images and labels must be pairs."""
        if self.ann_file:
            return super()._names()
        sensor, = self.sensors
        images = _stems(self.data_prefix[sensor], self._suffix(sensor))
        labels = _stems(self.data_prefix['seg_map'], self._suffix('seg_map'))
        for found, other, key in ((images, labels, 'seg_map'),
                                  (labels, images, sensor)):
            alone = sorted(set(found) - set(other))
            if alone:
                folder = self.data_prefix[key]
                raise FileNotFoundError(
                    f"{folder}: expected '{alone[0]}{self._suffix(key)}', the "
                    f'partner of a file in the other folder, found none '
                    f'({len(alone)} of {len(found)} lack theirs); convert the '
                    'dataset again')
        return images


def _stems(folder: str, suffix: str) -> list[str]:
    """Sorted names in a folder, without their suffix."""
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f'{folder}: expected a folder of *{suffix} files, found none; '
            'convert the dataset (docs/datasets), or correct data_root and '
            'split')
    names: Sequence[str] = sorted(
        name[:-len(suffix)] for name in os.listdir(folder)
        if name.endswith(suffix) and not name.startswith('.'))
    if not names:
        raise FileNotFoundError(f'{folder}: expected *{suffix} files, found '
                                'none; convert the dataset again')
    return list(names)
