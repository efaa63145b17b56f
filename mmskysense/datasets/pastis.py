# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""PASTIS: crops of France from Sentinel-2, Sentinel-1 and SPOT series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmskysense.registry import DATASETS

from .multi_sensor_segmentation import MultiSensorSegDataset

_FOLDS = dict(train=(1, 2, 3), val=(4, ), test=(5, ))


@DATASETS.register_module()
class PASTISDataset(MultiSensorSegDataset):
    """PASTIS, PASTIS-R and PASTIS-HD (Garnot and Landrieu, ICCV 2021).

    2433 patches of 128x128 pixels of 10 m in five folds; a sample has the
    Sentinel-2 series, the Sentinel-1 series of both orbits (PASTIS-R) and
    one SPOT 6/7 image of 1 m (PASTIS-HD). Background is a class; the
    published void class 19 is ignored. Metrics: OA (``aAcc``) and mIoU.
    The index is made by ``tools/dataset_converters/pastis.py``.

    Args:
        sensors: Any of ``s2_l2a``, ``s1_grd``, ``hr_rgb``.
        split: ``'train'`` (folds 1 to 3), ``'val'`` (4) or ``'test'`` (5),
            the first of the five published rotations.
        folds: Folds, in place of ``split``, for the other rotations.
        index: Index file that the converter wrote.
        **kwargs: Of :class:`MultiSensorSegDataset`.

    Raises:
        ValueError: Unknown split or fold.
    """

    METAINFO: dict = dict(
        classes=('background', 'meadow', 'soft winter wheat', 'corn',
                 'winter barley', 'winter rapeseed', 'spring barley',
                 'sunflower', 'grapevine', 'beet', 'winter triticale',
                 'winter durum wheat', 'fruits, vegetables, flowers',
                 'potatoes', 'leguminous fodder', 'soybeans', 'orchard',
                 'mixed cereal', 'sorghum'))

    def __init__(self,
                 sensors: Sequence[str] = ('s2_l2a', ),
                 split: str = 'train',
                 folds: Sequence[int] | None = None,
                 index: str = 'index.json',
                 metainfo: Mapping[str, Any] | None = None,
                 **kwargs: Any) -> None:
        if folds is None:
            if split not in _FOLDS:
                raise ValueError(f"PASTISDataset: split='{split}', expected "
                                 f'one of {", ".join(_FOLDS)}')
            folds = _FOLDS[split]
        if not folds or not set(folds) <= {1, 2, 3, 4, 5}:
            raise ValueError(f'PASTISDataset: folds={tuple(folds)}, expected '
                             'some of 1 to 5')
        self.folds = tuple(folds)
        super().__init__(
            sensors=sensors,
            split=split,
            index=index,
            label_key='crop_type',
            metainfo={
                **self.METAINFO,
                **(metainfo or {})
            },
            **kwargs)

    def _is_wanted(self, tile: Mapping[str, Any]) -> bool:
        return tile.get('fold') in self.folds
