# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import datetime
import logging

import numpy as np
import pytest
import rasterio
from input_miniatures import BANDS, TIFF, band_value, stac_item, write_band

from mmskysense.raster import RasterContractError
from mmskysense.raster.inputs import open_input

pytest.importorskip('pystac', reason='pystac is not installed')

COLOURS = dict(B02='blue', B03='green', B04='red', B05='rededge1',
               B06='rededge2', B07='rededge3', B08='nir', B8A='nir08',
               B11='swir16', B12='swir22')


def asset(href, **fields):
    return dict(href=href, type=TIFF, roles=['data'], **fields)


def by_key(keys=COLOURS, **fields):
    """Assets whose keys say the band, files beside the item."""
    return {
        keys[band]: asset(f'./S2_20210401_{band}.tif', **fields)
        for band in BANDS
    }


@pytest.fixture
def beside(band_files, write_json):
    """A function that writes an item beside single-band files."""

    def write(assets, folder='scene', **options):
        band_files(folder)
        item = stac_item(assets, **options)
        return write_json(f'{folder}/item.json', item)

    return write


def values(image):
    found = []
    for band in image.bands:
        with rasterio.open(band.path) as file:
            found.append(int(file.read(band.index)[0, 0]))
    return found


def check(image):
    assert [band.name for band in image.bands] == list(BANDS)
    assert values(image) == [band_value(band) for band in BANDS]


def test_bands_by_key(beside):
    # As Earth Search has it: a JPEG 2000 copy and a picture beside each band.
    copies = {
        f'{key}-jp2': dict(href=f'./{key}.jp2', type='image/jp2',
                           roles=['data'], **{'eo:bands': [{'name': key}]})
        for key in COLOURS.values()
    }
    rest = dict(
        visual=dict(href='./visual.tif', type=TIFF, roles=['visual'],
                    **{'eo:bands': [{'name': 'red'}, {'name': 'green'},
                                    {'name': 'blue'}]}),
        thumbnail=dict(href='./t.jpg', type='image/jpeg',
                       roles=['thumbnail']),
        metadata=dict(href='./m.xml', type='application/xml'))
    (image, ) = open_input(beside({**copies, **rest, **by_key()}), 's2_l2a')
    check(image)
    assert image.date == datetime.date(2021, 4, 1)
    assert image.scale is image.offset is image.nodata is None


@pytest.mark.parametrize('field, colour', [
    ('eo:bands', 'common_name'), ('bands', 'eo:common_name')])
def test_bands_by_name_and_by_common_name(beside, field, colour):
    assets = {
        f'a{number}': asset(f'./S2_20210401_{band}.tif', **{field: [
            {'name': band} if number % 2 else {
                'name': f'x{number}', colour: COLOURS[band]}]})
        for number, band in enumerate(BANDS)
    }
    (image, ) = open_input(beside(assets, version='1.1.0'), 's2_l2a')
    check(image)


def test_one_asset_with_all_bands(write_raster, write_json):
    data = np.stack([np.full((4, 4), band_value(b), np.uint16)
                     for b in reversed(BANDS)])
    path = write_raster('all.tif', data)
    item = stac_item({'image': asset(path, **{
        'eo:bands': [{'name': band} for band in reversed(BANDS)]})})
    (image, ) = open_input(write_json('item.json', item), 's2_l2a')
    check(image)
    # Without a description the file itself is asked.
    item = stac_item({'image': asset(path)})
    with rasterio.open(path, 'r+') as file:
        file.descriptions = tuple(reversed(BANDS))
    (image, ) = open_input(write_json('item.json', item), 's2_l2a')
    check(image)


def test_finest_resolution(beside, tmp_path):
    # As the Copernicus Data Space has it: a key for each resolution.
    assets = {
        f'{band}_10m': asset(f'./S2_20210401_{band}.tif', gsd=10,
                             bands=[{'name': band}]) for band in BANDS
    }
    for band in BANDS:
        assets[f'{band}_60m'] = asset('./nowhere.tif', gsd=60,
                                      bands=[{'name': band}])
    (image, ) = open_input(beside(assets, version='1.1.0'), 's2_l2a')
    check(image)


@pytest.mark.parametrize('fields', [
    {'raster:bands': [{'scale': 0.0001, 'offset': -0.1, 'nodata': 0}]},
    {'bands': [{'name': 'x', 'raster:scale': 0.0001, 'raster:offset': -0.1,
                'nodata': 0}]},
    {'raster:scale': 0.0001, 'raster:offset': -0.1, 'nodata': 0},
])
def test_scale_and_offset_of_the_raster_extension(beside, fields, caplog):
    (image, ) = open_input(beside(by_key(**fields)), 's2_l2a')
    assert (image.scale, image.offset, image.nodata) == (None, -1000, 0)


@pytest.mark.parametrize('properties, offset', [
    ({'platform': 'Sentinel-2A', 's2:processing_baseline': '05.09'}, -1000),
    ({'platform': 'Sentinel-2A', 's2:processing_baseline': '03.00'}, None),
    ({'platform': 'landsat-8', 'processing:version': '05.00'}, None),
    ({'platform': 'sentinel-2b', 's2:processing_baseline': '05.09',
      'earthsearch:boa_offset_applied': True}, None),
])
def test_offset_of_the_processing_baseline(beside, properties, offset):
    (image, ) = open_input(beside(by_key(), **properties), 's2_l2a')
    assert image.offset == offset and image.scale is None


def test_applied_offset_beats_a_stated_one(beside):
    # Earth Search states -0.1 also where its files have it applied.
    fields = {'raster:bands': [{'scale': 0.0001, 'offset': -0.1}]}
    path = beside(by_key(**fields), **{'earthsearch:boa_offset_applied': True})
    (image, ) = open_input(path, 's2_l2a')
    assert image.offset is None and image.scale is None


def test_what_the_user_says_wins(beside):
    fields = {'raster:bands': [{'scale': 0.0001, 'offset': -0.1}]}
    (image, ) = open_input(beside(by_key(**fields)), 's2_l2a', offset=0.0)
    assert (image.scale, image.offset) == (None, 0.0)


def test_bands_that_differ_in_scale(beside):
    assets = by_key(**{'raster:bands': [{'scale': 0.0001}]})
    assets['nir']['raster:bands'] = [{'scale': 0.01}]
    with pytest.raises(RasterContractError,
                       match='expected one scale and offset for all bands'):
        open_input(beside(assets), 's2_l2a')


def test_backscatter(write_raster, write_json):
    path = write_raster('s1.tif', np.full((2, 4, 4), 0.1, np.float32))
    item = stac_item({'vv': asset(path), 'vh': asset(path)})
    (image, ) = open_input(write_json('i.json', item), 's1_grd',
                           scale='decibel')
    assert [band.name for band in image.bands] == ['VV', 'VH']
    assert image.scale == 'decibel'


def test_pictures_may_be_visual(write_raster, write_json):
    path = write_raster('v.tif', np.ones((3, 4, 4), np.uint8))
    item = stac_item({'visual': dict(
        href=path, type=TIFF, roles=['visual'],
        **{'eo:bands': [{'name': n, 'common_name': c} for n, c in (
            ('B04', 'red'), ('B03', 'green'), ('B02', 'blue'))]})})
    (image, ) = open_input(write_json('i.json', item), 'hr_rgb')
    assert [band.index for band in image.bands] == [1, 2, 3]


def test_clouds(beside, tmp_path):
    write_band(tmp_path / 'scene/SCL.tif', 9, 30, 20, dtype='uint8')
    path = beside(dict(by_key(), scl=asset('./SCL.tif')))
    (image, ) = open_input(path, 's2_l2a', mask_clouds=True)
    assert image.mask.source.path.endswith('SCL.tif')
    with pytest.raises(RasterContractError, match="needs an asset 'scl'"):
        open_input(beside(by_key(), 'other'), 's2_l2a', mask_clouds=True)


def test_item_collection(band_files, write_json, tmp_path, caplog):
    items = []
    for day in ('20210601', '20210401'):
        folder = band_files(day, day)
        assets = {
            band: asset(str(folder / f'S2_{day}_{band}.tif'))
            for band in BANDS
        }
        stamp = f'{day[:4]}-{day[4:6]}-{day[6:]}'
        items.append(stac_item(assets, stamp, f'scene-{day}'))
    collection = dict(type='FeatureCollection', features=items,
                      links=[dict(rel='next', href='http://localhost/2')])
    path = write_json('items.json', collection)
    with caplog.at_level(logging.WARNING):
        images = open_input(path, 's2_l2a')
    assert [str(i.date) for i in images] == ['2021-04-01', '2021-06-01']
    assert 'scene-20210401' in images[0].label
    (image, ) = open_input(path, 's2_l2a', dates='../2021-05-01')
    check(image)


def test_missing_band(beside):
    assets = by_key()
    del assets['swir22']
    with pytest.raises(
            RasterContractError,
            match="'s2_l2a' expects bands .* but no asset is, or names, 'B12' "
            r'\(raster assets: blue, green'):
        open_input(beside(assets), 's2_l2a')


def test_ambiguous_band(beside):
    assets = by_key()
    for key in ('b', 'c'):
        assets[key] = asset('./x.tif', **{'eo:bands': [{'name': 'B12'}]})
    del assets['swir22']
    with pytest.raises(RasterContractError,
                       match="expected one asset for band 'B12', found b, c"):
        open_input(beside(assets), 's2_l2a')


def test_missing_file_and_unknown_scheme(beside, tmp_path):
    path = beside(by_key())
    (tmp_path / 'scene/S2_20210401_B02.tif').unlink()
    with pytest.raises(RasterContractError,
                       match="asset 'blue' is at .*_B02.tif, found no such"):
        open_input(path, 's2_l2a')
    assets = by_key()
    assets['blue']['href'] = 'ftp://localhost/B02.tif'
    with pytest.raises(RasterContractError, match="asset 'blue': ftp://local"
                       'host/B02.tif: expected a local path or an address'):
        open_input(beside(assets), 's2_l2a')


@pytest.mark.parametrize('document, message', [
    ({'type': 'Collection', 'id': 'x'}, 'found a STAC collection'),
    ({'type': 'Catalog', 'id': 'x'}, 'found a STAC catalogue'),
    ({'type': 'Feature', 'geometry': None, 'properties': {}},
     'found a GeoJSON feature'),
    ({'rows': []}, 'found other JSON'),
    ([1], 'found a JSON list'),
    ({'type': 'FeatureCollection', 'features': []}, 'found none; widen'),
    ({'type': 'FeatureCollection', 'features': [{'id': 'q'}]},
     'entry q is no STAC item'),
])
def test_json_that_is_no_item(write_json, document, message):
    with pytest.raises(RasterContractError, match=message):
        open_input(write_json('x.json', document), 's2_l2a')


def test_truncated_json_and_missing_file(tmp_path):
    (tmp_path / 'x.json').write_text('{"type": "Fea')
    with pytest.raises(RasterContractError, match='a file that breaks off'):
        open_input(tmp_path / 'x.json', 's2_l2a')
    with pytest.raises(RasterContractError, match='found no readable file'):
        open_input(tmp_path / 'y.json', 's2_l2a')
