# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""BigEarthNet: land cover of Europe, many labels a patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmskysense.registry import DATASETS

from .multi_sensor_classification import MultiSensorClsDataset

#: The nomenclature of 19 classes: name -> what it holds of the 43 classes of
#: the published labels (Sumbul et al., IEEE GRSM 9(3), 2021, table 1). The
#: eleven classes that are not named here have none of the 19.
NOMENCLATURE: dict[str, tuple[str, ...]] = {
    'Urban fabric': ('Continuous urban fabric', 'Discontinuous urban fabric'),
    'Industrial or commercial units': ('Industrial or commercial units', ),
    'Arable land': ('Non-irrigated arable land', 'Permanently irrigated land',
                    'Rice fields'),
    'Permanent crops':
    ('Vineyards', 'Fruit trees and berry plantations', 'Olive groves',
     'Annual crops associated with permanent crops'),
    'Pastures': ('Pastures', ),
    'Complex cultivation patterns': ('Complex cultivation patterns', ),
    'Land principally occupied by agriculture, with significant areas of '
    'natural vegetation':
    ('Land principally occupied by agriculture, with significant areas of '
     'natural vegetation', ),
    'Agro-forestry areas': ('Agro-forestry areas', ),
    'Broad-leaved forest': ('Broad-leaved forest', ),
    'Coniferous forest': ('Coniferous forest', ),
    'Mixed forest': ('Mixed forest', ),
    'Natural grassland and sparsely vegetated areas':
    ('Natural grassland', 'Sparsely vegetated areas'),
    'Moors, heathland and sclerophyllous vegetation':
    ('Moors and heathland', 'Sclerophyllous vegetation'),
    'Transitional woodland, shrub': ('Transitional woodland/shrub', ),
    'Beaches, dunes, sands': ('Beaches, dunes, sands', ),
    'Inland wetlands': ('Inland marshes', 'Peatbogs'),
    'Coastal wetlands': ('Salt marshes', 'Salines'),
    'Inland waters': ('Water courses', 'Water bodies'),
    'Marine waters': ('Coastal lagoons', 'Estuaries', 'Sea and ocean'),
}
#: Published labels that have no class among the 19.
WITHOUT_CLASS = ('Road and rail networks and associated land', 'Port areas',
                 'Airports', 'Mineral extraction sites', 'Dump sites',
                 'Construction sites', 'Green urban areas',
                 'Sport and leisure facilities', 'Bare rock', 'Burnt areas',
                 'Intertidal flats')


@DATASETS.register_module()
class BigEarthNetDataset(MultiSensorClsDataset):
    """BigEarthNet-S2 and BigEarthNet-MM, versions 1 and 2, 19 classes.

    Patches of 1.2 km: Sentinel-2 in 120 pixels of 10 m and, in the
    multi-modal set, Sentinel-1 on the same grid. Made by
    ``tools/dataset_converters/bigearthnet.py``, which writes one index for
    each split.

    Args:
        sensors: ``s2_l2a``, ``s1_grd`` or both.
        split: ``'train'``, ``'val'`` or ``'test'``.
        index: Index file; ``SPLIT.json`` by default.
        **kwargs: Of :class:`MultiSensorClsDataset`, such as ``fraction``.
    """

    METAINFO: dict = dict(classes=tuple(NOMENCLATURE))

    def __init__(self,
                 sensors: Sequence[str] = ('s2_l2a', ),
                 split: str = 'train',
                 index: str | None = None,
                 **kwargs: Any) -> None:
        kwargs.setdefault('label_key', 'labels')
        kwargs.setdefault('multi_label', True)
        super().__init__(sensors=sensors, split=split,
                         index=index or f'{split}.json', **kwargs)
