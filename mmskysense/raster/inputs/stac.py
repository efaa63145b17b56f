# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""STAC items and item collections, from files and over HTTP.

Fields: STAC 1.0 and 1.1 items, with the extensions Electro-Optical
(``eo:bands``, in 1.1 ``bands`` with ``eo:common_name``) and Raster
(``raster:bands``, in 2.0 ``raster:scale`` and ``raster:offset``).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from mmengine.logging import print_log

from mmskysense.sensors import Sensor
from mmskysense.utils import require

from ..band_contract import RasterContractError
from .image import InputImage
from .remote import DEFAULT_TIMEOUT, read_bytes
from .stac_assets import choose_bands, cloud_mask
from .stac_values import nodata_value, values_to_unit

# A server whose last page names a next one would be asked for ever (ours).
_MAX_PAGES = 1000


def looks_like_stac(spec: str) -> bool:
    """Whether an input is a catalogue entry, by its name alone."""
    path = spec.split('?')[0].rstrip('/').lower()
    if path.endswith(('.json', '.geojson')):
        return True
    return path.startswith(('http://', 'https://')) and (
        '/items/' in path or path.endswith(('/items', '/search')))


def from_stac(spec: str,
              sensor: Sensor,
              mask_clouds: bool = False,
              timeout: float = DEFAULT_TIMEOUT) -> list[InputImage]:
    """Images of a STAC item, or of each item of a collection of items.

    Args:
        spec: JSON file or ``http(s)://`` address.
        sensor: Its bands are looked for among the assets.
        mask_clouds: Attach Sentinel-2's scene classification.
        timeout: Seconds without a byte before a server counts as gone.

    Returns:
        One image an item, by day.

    Raises:
        RasterContractError: Not an item, or bands are missing.
        ImportError: pystac is missing.
    """
    pystac = require('pystac', 'STAC items')
    document = _load(spec, timeout)
    document = dict(document, features=_all_pages(spec, document, timeout)) \
        if document.get('type') == 'FeatureCollection' else document
    kind = document.get('type')
    if kind not in ('Feature', 'FeatureCollection') or (
            kind == 'Feature' and 'stac_version' not in document):
        what = {'Collection': 'a STAC collection', 'Catalog': 'a STAC '
                'catalogue', 'Feature': 'a GeoJSON feature'}.get(
                    str(kind), 'other JSON')
        raise RasterContractError(
            f'{spec}: expected a STAC item or item collection, found {what}; '
            'give the items that you want (an area of interest is passed as '
            'area=)')
    entries = document['features'] if kind == 'FeatureCollection' \
        else [document]
    if not entries:
        raise RasterContractError(
            f'{spec}: expected at least one STAC item, found none; widen '
            'the search that made the collection')
    items = []
    for number, entry in enumerate(entries):
        try:
            item = pystac.Item.from_dict(entry)
        except (pystac.STACError, pystac.STACTypeError, KeyError, TypeError,
                ValueError) as error:
            name = entry.get('id', number) if isinstance(entry, dict) \
                else number
            raise RasterContractError(
                f'{spec}: entry {name} is no STAC item '
                f'({type(error).__name__}: {error}); correct it, or leave it '
                'out') from error
        # Links to the item itself are often missing in saved search results;
        # addresses are relative to where it was read from.
        if len(entries) == 1 or item.get_self_href() is None:
            item.set_self_href(
                spec if '://' in spec else str(Path(spec).resolve()))
        items.append(item)
    images = [_from_item(spec, item, sensor, mask_clouds) for item in items]
    return sorted(images, key=lambda image: str(image.date))


def _load(spec: str, timeout: float) -> Mapping[str, Any]:
    if spec.startswith(('http://', 'https://')):
        content = read_bytes(spec, timeout)
    else:
        try:
            content = Path(spec).read_bytes()
        except OSError as error:
            raise RasterContractError(
                f'{spec}: expected a STAC item, found no readable file '
                f'({error.strerror}); check the path') from error
    try:
        document = json.loads(content)
    except ValueError as error:
        raise RasterContractError(
            f'{spec}: expected JSON, found a file that breaks off ({error}); '
            'download it again') from error
    if not isinstance(document, dict):
        raise RasterContractError(
            f'{spec}: expected a STAC item, found a JSON '
            f'{type(document).__name__}')
    return document


def _all_pages(spec: str, document: Mapping[str, Any],
               timeout: float) -> list[Any]:
    """Entries of a search, from its first page to the last.

    A saved page is not followed: what is in a file stays without a network.
    """
    entries, address, pages = list(document.get('features') or ()), spec, 1
    while True:
        link = next((link for link in document.get('links') or ()
                     if link.get('rel') == 'next'), None)
        if link is None:
            return entries
        if '://' not in spec:
            print_log(
                f'{spec}: this is one page of a search, further pages are '
                'not read; save all items in one collection to use them',
                'current', logging.WARNING)
            return entries
        if pages == _MAX_PAGES:
            raise RasterContractError(
                f'{spec}: expected at most {_MAX_PAGES} pages of a search, '
                f'found more ({len(entries)} items so far); narrow its '
                'dates or its area')
        if str(link.get('method', 'GET')).upper() != 'GET':
            raise RasterContractError(
                f'{address}: expected a next page that can be fetched by '
                f'GET, found {link["method"]}; save all items in one '
                'collection')
        address, pages = urljoin(address, link['href']), pages + 1
        document = _load(address, timeout)
        more = document.get('features')
        if not isinstance(more, list):
            raise RasterContractError(
                f'{address}: expected a further page of {spec}, found no '
                'features in it; save all items in one collection')
        entries += more


def _from_item(spec: str, item: Any, sensor: Sensor,
               mask_clouds: bool) -> InputImage:
    where = item.id if os.path.basename(spec).startswith(item.id) \
        else f'{spec} ({item.id})'
    chosen = choose_bands(where, item, sensor)
    when = item.datetime or item.common_metadata.start_datetime
    scale, offset = values_to_unit(where, item, sensor, chosen)
    return InputImage(
        sensor.name,
        when.date() if when is not None else None,
        tuple(band.source for band in chosen),
        scale=scale,
        offset=offset,
        nodata=nodata_value(chosen),
        mask=cloud_mask(where, item) if mask_clouds else None,
        name=where)
