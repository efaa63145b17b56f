# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json

import numpy as np
import pytest
from input_miniatures import stac_item

from mmskysense.raster import RasterContractError
from mmskysense.raster.inputs import gather_inputs

pytest.importorskip('pyogrio', reason='pyogrio is not installed')
pytest.importorskip('shapely', reason='shapely is not installed')


@pytest.fixture
def radar(write_raster):
    """Sentinel-1 over the ground of the product's miniature."""
    return write_raster(
        's1_20220302.tif', np.full((2, 30, 30), -12, np.float32),
        ('VV', 'VH'), crs='EPSG:32632', pixel=20, origin=(600000, 5000000))


@pytest.fixture
def square(tmp_path):
    """An area of 100 m a side: columns 10 to 19, rows 20 to 29."""
    ring = [[600100, 4999800], [600200, 4999800], [600200, 4999700],
            [600100, 4999700], [600100, 4999800]]
    path = tmp_path / 'square.geojson'
    path.write_text(json.dumps(dict(
        type='FeatureCollection',
        crs=dict(type='name',
                 properties=dict(name='urn:ogc:def:crs:EPSG::32632')),
        features=[dict(type='Feature', properties={}, geometry=dict(
            type='Polygon', coordinates=[ring]))])))
    return path


def test_the_first_input_gives_the_grid(product, radar):
    found = gather_inputs({'s2_l2a': str(product), 's1_grd': radar})
    assert list(found.images) == ['s2_l2a', 's1_grd']
    assert found.grid.shape == (60, 60) and found.area is None
    turned = gather_inputs({'s1_grd': radar, 's2_l2a': str(product)})
    assert turned.grid.shape == (30, 30)


def test_area_cuts_the_grid(product, square):
    found = gather_inputs({'s2_l2a': str(product)}, area=square,
                          mask_clouds=True)
    assert found.grid.shape == (10, 10)
    assert found.grid.bounds == (600100, 4999700, 600200, 4999800)
    assert found.area.mask(0, 0, 10, 10).all()
    assert found.images['s2_l2a'][0].mask is not None


def test_area_on_a_requested_grid(product, square):
    found = gather_inputs({'s2_l2a': str(product)}, area=square,
                          resolution=20)
    assert found.grid.shape == (5, 5) and found.grid.transform.a == 20


def test_grid_of_another_raster(product, write_raster):
    like = write_raster('like.tif', np.zeros((1, 7, 9), np.uint8),
                        crs='EPSG:32632', origin=(600010, 4999990))
    found = gather_inputs({'s2_l2a': str(product)}, like=like)
    assert found.grid.shape == (7, 9)
    with pytest.raises(ValueError, match='already says CRS and resolution'):
        gather_inputs({'s2_l2a': str(product)}, like=like, resolution=5)


def test_options_of_one_sensor(product, radar):
    found = gather_inputs({'s2_l2a': str(product), 's1_grd': radar},
                          options={'s1_grd': dict(scale='decibel')})
    assert found.images['s1_grd'][0].scale == 'decibel'
    assert found.images['s2_l2a'][0].scale is None


def test_inputs_apart(product, write_raster):
    away = write_raster('s1.tif', np.full((2, 4, 4), -9, np.float32),
                        ('VV', 'VH'))
    with pytest.raises(RasterContractError,
                       match=r's1.tif: expected ground inside the map '
                       r'\(600000, 4999400, 600600, 5000000\) EPSG:32632, '
                       r'found \(500000, .* EPSG:32631'):
        gather_inputs({'s2_l2a': str(product), 's1_grd': away})


def test_one_input_without_georeference(product, write_raster):
    bare = write_raster('s1.tif', np.full((2, 4, 4), -9, np.float32),
                        ('VV', 'VH'), crs=None)
    with pytest.raises(RasterContractError, match='s1.tif: expected CRS and '
                       'geotransform, as .*B02_10m.jp2 has them'):
        gather_inputs({'s2_l2a': str(product), 's1_grd': bare})


def test_nothing_to_map():
    with pytest.raises(ValueError, match='expected at least one input'):
        gather_inputs({})


def test_item_with_a_span_of_time(write_raster, write_json):
    pytest.importorskip('pystac', reason='pystac is not installed')
    path = write_raster('s1.tif', np.full((2, 4, 4), -9, np.float32),
                        ('VV', 'VH'))
    item = stac_item({'data': dict(href=path)})
    item['properties'] = dict(
        datetime=None, start_datetime='2021-04-01T00:00:00Z',
        end_datetime='2021-04-02T00:00:00Z')
    spec = str(write_json('item.json', item))
    found = gather_inputs({'s1_grd': spec}, dates='2021-04-01')
    assert str(found.images['s1_grd'][0].date) == '2021-04-01'
