# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How the numbers in a STAC item's files become a sensor's unit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log

from mmskysense.sensors import Sensor, Unit

from ..band_contract import RasterContractError
from .stac_assets import AssetBand

# Since this processing baseline Sentinel-2's files hold 1000 too much.
_BASELINE_WITH_OFFSET = 4.0
_SENTINEL_2_OFFSET = -1000.0
_APPLIED = ('earthsearch:boa_offset_applied', 'sentinel:boa_offset_applied')
_BASELINES = ('s2:processing_baseline', 'sentinel:processing_baseline',
              'processing:version')


def values_to_unit(where: str, item: Any, sensor: Sensor,
                   bands: Sequence[AssetBand]
                   ) -> tuple[float | None, float | None]:
    """Scale and offset that bring the files' values to the sensor's unit.

    Reflectance: what the Raster extension states, which leads to 0..1, times
    10000. Where an item of Sentinel-2 states nothing, the offset of
    processing baselines from 04.00 on is added; where it says that the
    offset was applied already (Earth Search's ``boa_offset_applied``), it is
    not. Backscatter: as stated. 8-bit imagery: as it is.

    Args:
        where: What messages call the item.
        item: ``pystac.Item``.
        sensor: Entry of the sensor table.
        bands: The bands that were chosen.

    Returns:
        Scale and offset, None where they are 1 and 0.

    Raises:
        RasterContractError: The bands differ.
    """
    if sensor.unit is Unit.DIGITAL_NUMBER_8BIT:
        return None, None
    stated = {(float(band.fields.get('scale', 1)),
               float(band.fields.get('offset', 0))) for band in bands}
    if len(stated) > 1:
        raise RasterContractError(
            f'{where}: expected one scale and offset for all bands, found '
            f'{sorted(stated)}; pass scale= and offset= that hold for all, '
            'or convert the files')
    scale, offset = stated.pop()
    explicit = any('scale' in band.fields or 'offset' in band.fields
                   for band in bands)
    if sensor.unit is Unit.REFLECTANCE_X10000:
        if explicit:
            # Rounded: 0.0001 and -0.1 are not exact in binary.
            scale = round(scale * 10000, 6)
            offset = round(offset * 10000, 6)
        offset = _sentinel_2_offset(item, offset, explicit)
    if scale != 1 or offset != 0:
        print_log(f'{where}: file values x {scale:g} {offset:+g} are taken as '
                  f'{sensor.unit.value}, as the item says; scale= and '
                  'offset= replace that', 'current', logging.INFO)
    return (None if scale == 1 else scale), (None if offset == 0 else offset)


def _sentinel_2_offset(item: Any, offset: float, explicit: bool) -> float:
    properties = item.properties
    if any(properties.get(name) is True for name in _APPLIED):
        return 0.0
    if explicit or not str(properties.get('platform', '')).lower(
            ).startswith('sentinel-2'):
        return offset
    for name in _BASELINES:
        try:
            if float(properties[name]) >= _BASELINE_WITH_OFFSET:
                return _SENTINEL_2_OFFSET
        except (KeyError, TypeError, ValueError):
            continue
    return offset


def nodata_value(bands: Sequence[AssetBand]) -> float | None:
    """The value for "no data" that all bands agree on, or None."""
    values = set()
    for band in bands:
        try:
            values.add(float(band.fields['nodata']))
        except (KeyError, TypeError, ValueError):
            return None
    return values.pop() if len(values) == 1 else None
