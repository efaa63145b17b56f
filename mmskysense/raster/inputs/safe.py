# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A Sentinel-2 Level-2A product, as ESA distributes it: ``*.SAFE``.

Layout and metadata: Sentinel-2 Products Specification Document
(S2-PDGS-TAS-DI-PSD). ``MTD_MSIL2A.xml`` lists the images under
``GRANULE/*/IMG_DATA/R10m|R20m|R60m``. Since processing baseline 04.00 the
files hold reflectance * 10000 + 1000, which the metadata state as
``BOA_ADD_OFFSET``; 0 stays "no data".
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from mmskysense.sensors import Sensor

from ..band_contract import RasterContractError
from .file_names import bands_named, find_date, resolution_named
from .image import BandSource, InputImage, PixelMask

METADATA = 'MTD_MSIL2A.xml'
# Of the scene classification: no data, saturated or defective, cloud shadow,
# cloud of medium and of high probability, thin cirrus.
CLOUDED = (0, 1, 3, 8, 9, 10)
# What a product's image files may end in; .tif where a host converted them.
_SUFFIXES = ('.jp2', '.tif')
# BOA_ADD_OFFSET names bands by their place among all thirteen.
_BAND_IDS = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A',
             'B09', 'B10', 'B11', 'B12')


class _Product:
    """Files of a product, unpacked or in the ZIP it was downloaded as."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.members: frozenset[str] | None = None
        self.root = ''
        if not os.path.isdir(path):
            with zipfile.ZipFile(path) as archive:
                self.members = frozenset(archive.namelist())
            self.root = next(
                name for name in sorted(self.members, key=len)
                if name.endswith(METADATA))[:-len(METADATA)]

    def read(self, name: str) -> bytes:
        if self.members is None:
            return (Path(self.path) / name).read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(self.root + name)

    def gdal_path(self, name: str) -> str | None:
        """Path for GDAL, None if there is no such file."""
        if self.members is None:
            found = os.path.join(self.path, name)
            return found if os.path.isfile(found) else None
        if self.root + name not in self.members:
            return None
        return f'/vsizip/{os.path.abspath(self.path)}/{self.root}{name}'


def is_safe(path: str) -> bool:
    """Whether a path is a Level-2A product: its folder or its ZIP."""
    if os.path.isdir(path):
        return os.path.isfile(os.path.join(path, METADATA)) or \
            path.rstrip('/\\').upper().endswith('.SAFE')
    if path.lower().endswith('.zip') and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(METADATA) for name in archive.namelist())
    return False


def from_safe(path: str, sensor: Sensor, mask_clouds: bool) -> InputImage:
    """The image of a Level-2A product.

    Every band is taken at its finest resolution.

    Args:
        path: ``*.SAFE`` folder, or ZIP that holds one.
        sensor: Its bands must be Sentinel-2's.
        mask_clouds: Attach the scene classification, so that clouds, their
            shadows and saturated pixels count as not measured.

    Raises:
        RasterContractError: Not a Level-2A product, or files are missing.
    """
    if os.path.isdir(path) and not os.path.isfile(
            os.path.join(path, METADATA)):
        level_1 = os.path.isfile(os.path.join(path, 'MTD_MSIL1C.xml'))
        found = 'Level-1C (top of atmosphere; run Sen2Cor, or download ' \
            'Level-2A)' if level_1 else 'none (the download is incomplete)'
        raise RasterContractError(
            f'{path}: expected a Sentinel-2 Level-2A product with {METADATA}, '
            f'found {found}')
    product = _Product(path)
    tree = _parse(path, product)
    listed = [_text(node) for node in tree.iter('IMAGE_FILE')]
    if not listed:
        raise RasterContractError(
            f'{path}: {METADATA} lists no IMAGE_FILE; download it again')
    sources = tuple(
        _band(path, product, sensor, band.name, listed)
        for band in sensor.bands)
    date = find_date(tree.findtext('.//PRODUCT_START_TIME') or '') \
        or find_date(os.path.basename(path.rstrip('/\\')))
    scale, offset = _radiometry(path, tree, sensor)
    return InputImage(
        sensor.name,
        date,
        sources,
        scale=scale,
        offset=offset,
        nodata=0,
        mask=_clouds(path, product, listed) if mask_clouds else None,
        name=path)


def _parse(path: str, product: _Product) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(product.read(METADATA))
    except ElementTree.ParseError as error:
        raise RasterContractError(
            f'{path}: expected XML in {METADATA}, found a file that breaks '
            f'off ({error}); download the product again') from error


def _text(node: ElementTree.Element) -> str:
    return (node.text or '').strip()


def _band(path: str, product: _Product, sensor: Sensor, band: str,
          listed: list[str]) -> BandSource:
    """The file of a band at its finest resolution."""
    hits = [
        name for name in listed
        if [b.name for b in bands_named(name, sensor)] == [band]
    ]
    if not hits:
        raise RasterContractError(
            f"{path}: sensor '{sensor.name}' expects band '{band}', but "
            f'{METADATA} lists no image of it; choose a sensor with '
            "Sentinel-2's bands")
    return _file(path, product, hits, band)


def _file(path: str, product: _Product, names: list[str],
          band: str) -> BandSource:
    name = min(names, key=lambda n: resolution_named(n) or float('inf'))
    for suffix in _SUFFIXES:
        found = product.gdal_path(name + suffix)
        if found is not None:
            return BandSource(found, 1, band)
    raise RasterContractError(
        f'{path}: {METADATA} lists {name}{_SUFFIXES[0]}, found no such file; '
        'the product is incomplete, download or unpack it again')


def _radiometry(path: str, tree: ElementTree.Element,
                sensor: Sensor) -> tuple[float | None, float | None]:
    """Scale and offset to reflectance * 10000, None where they are 1 and 0."""
    quantity = float(
        tree.findtext('.//BOA_QUANTIFICATION_VALUE') or 10000)
    offsets = {}
    for node in tree.iter('BOA_ADD_OFFSET'):
        place = int(node.get('band_id', '-1'))
        if 0 <= place < len(_BAND_IDS):
            offsets[_BAND_IDS[place]] = float(_text(node))
    used = {offsets.get(band.name, 0.0) for band in sensor.bands}
    if len(used) > 1:
        raise RasterContractError(
            f'{path}: expected one BOA_ADD_OFFSET for all bands, found '
            f'{sorted(used)}; convert the bands to reflectance x 10000 first')
    factor = 10000 / quantity
    offset = used.pop() * factor
    return (None if factor == 1 else factor), (offset or None)


def _clouds(path: str, product: _Product, listed: list[str]) -> PixelMask:
    """The scene classification, which older products do not list."""
    names = [name for name in listed if '_SCL_' in name]
    if not names:
        # Beside the 20 m bands, in products that leave it out of the list.
        names = [
            name.replace('_B8A_', '_SCL_') for name in listed
            if '_B8A_20m' in name
        ]
    if not names:
        raise RasterContractError(
            f'{path}: masking clouds needs the scene classification (SCL), '
            f'which {METADATA} does not list; leave clouds in')
    return PixelMask(_file(path, product, names, 'SCL'), CLOUDED)
