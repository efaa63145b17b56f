# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""fMoW-Sentinel: what a place is used for, from Sentinel-2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmskysense.registry import DATASETS

from .multi_sensor_classification import MultiSensorClsDataset

#: Bands of the files, in their order.
FILE_BANDS = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A',
              'B09', 'B10', 'B11', 'B12')


@DATASETS.register_module()
class FMoWSentinelDataset(MultiSensorClsDataset):
    """fMoW-Sentinel (Cong et al., NeurIPS 2022), 62 classes.

    One sample an image: a cloud composite of 90 days around a place of the
    Functional Map of the World, some 50 pixels of 10 m wide, sides differ.
    With ``series=True`` one sample a place, with all its images.
    The index of each split is made by
    ``tools/dataset_converters/fmow_sentinel.py``; it names the images where
    they lie.

    Args:
        sensors: ``s2_l2a``; the files' bands are :data:`FILE_BANDS`.
        split: ``'train'``, ``'val'`` or ``'test_gt'``.
        index: Index file; ``SPLIT.json`` or ``SPLIT_series.json`` by default.
        series: Samples are places, for :class:`LoadMultiSensorTile`.
        **kwargs: Of :class:`MultiSensorClsDataset`.
    """

    METAINFO: dict = dict(
        classes=('airport', 'airport_hangar', 'airport_terminal',
                 'amusement_park', 'aquaculture', 'archaeological_site',
                 'barn', 'border_checkpoint', 'burial_site', 'car_dealership',
                 'construction_site', 'crop_field', 'dam', 'debris_or_rubble',
                 'educational_institution', 'electric_substation',
                 'factory_or_powerplant', 'fire_station', 'flooded_road',
                 'fountain', 'gas_station', 'golf_course',
                 'ground_transportation_station', 'helipad', 'hospital',
                 'impoverished_settlement', 'interchange', 'lake_or_pond',
                 'lighthouse', 'military_facility', 'multi-unit_residential',
                 'nuclear_powerplant', 'office_building',
                 'oil_or_gas_facility', 'park', 'parking_lot_or_garage',
                 'place_of_worship', 'police_station', 'port', 'prison',
                 'race_track', 'railway_bridge', 'recreational_facility',
                 'road_bridge', 'runway', 'shipyard', 'shopping_mall',
                 'single-unit_residential', 'smokestack', 'solar_farm',
                 'space_facility', 'stadium', 'storage_tank', 'surface_mine',
                 'swimming_pool', 'toll_booth', 'tower', 'tunnel_opening',
                 'waste_disposal', 'water_treatment_facility', 'wind_farm',
                 'zoo'))

    def __init__(self,
                 sensors: Sequence[str] = ('s2_l2a', ),
                 split: str = 'train',
                 index: str | None = None,
                 series: bool = False,
                 **kwargs: Any) -> None:
        kwargs.setdefault('reader_options',
                          dict(s2_l2a=dict(bands=FILE_BANDS)))
        name = f'{split}_series.json' if series else f'{split}.json'
        super().__init__(sensors=sensors, split=split, index=index or name,
                         **kwargs)
