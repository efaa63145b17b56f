# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Which asset of a STAC item holds which band of a sensor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmskysense.sensors import Band, Sensor, Unit

from ..band_contract import RasterContractError
from ..open_files import is_remote
from .file_names import bands_named, resolution_named
from .image import BandSource, PixelMask
from .raster_file import from_raster_file
from .remote import gdal_path
from .safe import CLOUDED

_NO_PIXELS = frozenset(('thumbnail', 'overview', 'metadata'))


@dataclass(frozen=True)
class AssetBand:
    """A band of an asset that was chosen for a band of the sensor.

    Args:
        source: Where GDAL reads it.
        key: The asset's key.
        fields: What asset and band state about the values: ``scale``,
            ``offset``, ``nodata``.
    """

    source: BandSource
    key: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class _Candidate:
    key: str
    asset: Any
    number: int
    rank: int  # 0: key, 1: the band's name, 2: its colour
    resolution: float | None


def choose_bands(where: str, item: Any, sensor: Sensor) -> list[AssetBand]:
    """Find each band of a sensor among the assets of an item.

    In order of authority: the asset's key, the names of its bands, their
    common names. Of a band at several resolutions the finest is taken. An
    item with a single raster whose bands are not described is opened and
    read as a file.

    Args:
        where: What messages call the item.
        item: ``pystac.Item``.
        sensor: Entry of the sensor table.

    Raises:
        RasterContractError: A band is missing or ambiguous, or its file is
            not there.
    """
    assets = dict(_rasters(item, sensor))
    found = {
        band.name: _best(where, band, list(_candidates(band, assets, sensor)))
        for band in sensor.bands
    }
    missing = [name for name, best in found.items() if best is None]
    if len(missing) == sensor.num_bands and len(assets) == 1:
        key, asset = next(iter(assets.items()))
        image = from_raster_file(_path(where, key, asset), sensor)
        return [
            AssetBand(source, key, _fields(asset, source.index))
            for source in image.bands
        ]
    if missing:
        listed = ', '.join(
            f'{key} ({", ".join(_names(asset))})' if _names(asset) else key
            for key, asset in assets.items())
        raise RasterContractError(
            f"{where}: sensor '{sensor.name}' expects bands "
            f"{', '.join(sensor.band_names)}, but no asset is, or names, "
            f"'{missing[0]}' (raster assets: {listed[:300] or 'none'}); "
            'choose another sensor, or another item')
    return [
        AssetBand(
            BandSource(_path(where, best.key, best.asset), best.number, name),
            best.key, _fields(best.asset, best.number))
        for name, best in found.items() if best is not None
    ]


def cloud_mask(where: str, item: Any) -> PixelMask:
    """Sentinel-2's scene classification among the assets.

    Raises:
        RasterContractError: There is none.
    """
    hits = {
        key: asset
        for key, asset in item.assets.items()
        if key.lower().split('_')[0] == 'scl'
    }
    if not hits:
        raise RasterContractError(
            f"{where}: masking clouds needs an asset 'scl' (scene "
            f'classification), found {", ".join(item.assets)}; leave clouds '
            'in')
    key = min(hits, key=lambda k: resolution_named(k) or 0)
    path = _path(where, key, hits[key])
    return PixelMask(BandSource(path, 1, 'SCL'), CLOUDED)


def _rasters(item: Any, sensor: Sensor) -> Iterator[tuple[str, Any]]:
    """Assets that may hold a sensor's pixels."""
    rendered = sensor.unit is Unit.DIGITAL_NUMBER_8BIT
    for key, asset in item.assets.items():
        roles = set(asset.roles or ())
        kind = (asset.media_type or '').lower()
        if roles & _NO_PIXELS or ('visual' in roles and not rendered):
            continue
        if kind and not kind.startswith('image/'):
            continue
        if kind in ('image/png', 'image/jpeg') and not rendered:
            continue
        suffix = asset.href.split('?')[0].lower()
        if not kind and suffix.endswith(('.json', '.xml', '.txt', '.html')):
            continue
        yield key, asset


def _bands(asset: Any) -> list[Mapping[str, Any]]:
    fields = asset.extra_fields
    return list(fields.get('bands') or fields.get('eo:bands') or ())


def _names(asset: Any) -> list[str]:
    return [
        str(band.get('name') or _common_name(band) or '?')
        for band in _bands(asset)
    ]


def _common_name(band: Mapping[str, Any]) -> str:
    return str(band.get('eo:common_name') or band.get('common_name') or '')


def _candidates(band: Band, assets: Mapping[str, Any],
                sensor: Sensor) -> Iterator[_Candidate]:
    for key, asset in assets.items():
        size = _resolution(key, asset)
        described = _bands(asset)
        # 'B04', 'red', and 'B04_20m', but not 'red-jp2'.
        keyed = band.is_named(key) or (
            resolution_named(key) is not None
            and bands_named(key, sensor) == [band])
        if keyed and len(described) <= 1:
            yield _Candidate(key, asset, 1, 0, size)
            continue
        for number, entry in enumerate(described, 1):
            if band.is_named(str(entry.get('name') or '')):
                yield _Candidate(key, asset, number, 1, size)
            elif band.is_named(_common_name(entry)):
                yield _Candidate(key, asset, number, 2, size)


def _best(where: str, band: Band,
          candidates: list[_Candidate]) -> _Candidate | None:
    if not candidates:
        return None
    rank = min(candidate.rank for candidate in candidates)
    best = [c for c in candidates if c.rank == rank]
    sizes = [c.resolution for c in best if c.resolution is not None]
    if len(best) > 1 and len(sizes) == len(best):
        best = [c for c in best if c.resolution == min(sizes)]
    if len(best) > 1:
        raise RasterContractError(
            f"{where}: expected one asset for band '{band.name}', found "
            f'{", ".join(c.key for c in best)}; remove the ones that are not '
            'meant from the item')
    return best[0]


def _resolution(key: str, asset: Any) -> float | None:
    """Metres a pixel, from wherever an asset states them."""
    fields = asset.extra_fields
    stated = fields.get('gsd') or fields.get('raster:spatial_resolution')
    for entry in fields.get('raster:bands') or ():
        stated = stated or entry.get('spatial_resolution')
    if stated is None and fields.get('proj:transform'):
        stated = abs(float(fields['proj:transform'][0]))
    return float(stated) if stated else resolution_named(key)


def _fields(asset: Any, number: int) -> dict[str, Any]:
    """Scale, offset and nodata of a band, whichever version states them."""
    fields = asset.extra_fields
    stated: dict[str, Any] = {}
    places = [fields]
    for name in ('bands', 'raster:bands'):
        entries = fields.get(name) or ()
        if len(entries) >= number:
            places.append(entries[number - 1])
    for place in places:
        for name in ('scale', 'offset', 'nodata'):
            value = place.get(f'raster:{name}', place.get(name))
            if value is not None:
                stated[name] = value
    return stated


def _path(where: str, key: str, asset: Any) -> str:
    """Path for GDAL; local files must be there."""
    href = asset.get_absolute_href() or asset.href
    try:
        path = gdal_path(href)
    except ValueError as error:
        raise RasterContractError(f"{where}: asset '{key}': {error}"
                                  ) from None
    if not is_remote(path) and not os.path.exists(path):
        raise RasterContractError(
            f"{where}: asset '{key}' is at {path}, found no such file; put "
            'the files beside the item, or correct its href')
    return path
