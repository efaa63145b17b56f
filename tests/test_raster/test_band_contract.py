# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from rasterio.crs import CRS

from mmskysense.raster.band_contract import (
    Grid,
    RasterContractError,
    check_alignment,
    check_dtype,
    check_values,
    select_bands,
)
from mmskysense.sensors import get_sensor

S2 = get_sensor('s2_l2a')
S1 = get_sensor('s1_grd')
RGB = get_sensor('hr_rgb')
THIRTEEN = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A',
            'B09', 'B10', 'B11', 'B12')


@pytest.mark.parametrize('sensor, descriptions, colours, bands, expected', [
    (S2, THIRTEEN, (), None, (2, 3, 4, 5, 6, 7, 8, 9, 12, 13)),
    (S2, S2.band_names[::-1], (), None, tuple(range(10, 0, -1))),
    (S2, [b.common_name for b in S2.bands], (), None, tuple(range(1, 11))),
    (S2, [None] * 10, (), None, tuple(range(1, 11))),
    (S2, [f'Band {n}' for n in range(1, 11)], (), None, tuple(range(1, 11))),
    (S2, [str(n) for n in range(1, 11)], (), None, tuple(range(1, 11))),
    (RGB, ('Band 1', '', 'band_03'), (), None, (1, 2, 3)),
    (RGB, ('Band 1', 'Band 2', 'Band 3'), ('blue', 'green', 'red'), None,
     (3, 2, 1)),
    (RGB, ('B2', 'B3', 'B4'), (), ('blue', 'green', 'red'), (3, 2, 1)),
    (S2, [None] * 13, (), THIRTEEN, (2, 3, 4, 5, 6, 7, 8, 9, 12, 13)),
    (S1, ('VH', 'VV'), (), None, (2, 1)),
    (S1, ('Sigma0_VH', 'Sigma0_VV', 'incidence'), (), None, (2, 1)),
    (S1, ('VV', 'VH'), (), (2, 1), (2, 1)),
    (RGB, (None, ) * 3, (), None, (1, 2, 3)),
    (RGB, (None, ) * 4, ('red', 'green', 'blue', 'alpha'), None, (1, 2, 3)),
    (RGB, (None, ) * 4, ('red', 'green', 'blue', 'undefined'), None,
     (1, 2, 3)),
    (RGB, (None, ) * 3, ('blue', 'green', 'red'), None, (3, 2, 1)),
    (RGB, ('blue', 'green', 'red', 'nir'), (), None, (3, 2, 1)),
    (RGB, (None, ) * 4, (), ('nir', 'R', 'G', 'B'), (2, 3, 4)),
])
def test_selects_bands(sensor, descriptions, colours, bands, expected):
    assert select_bands('a.tif', sensor, descriptions, colours,
                        bands) == expected


@pytest.mark.parametrize('sensor, descriptions, bands, words', [
    (S1, ('VV', 'VV'), None, ("'VV' is there 2 times", 'bands=[')),
    (S1, ('HH', 'HV'), None, ("'VV' is missing", 'HH, HV')),
    (S1, ('VV', ), None, ("'VH' is missing", )),
    # Landsat's or Sentinel-2's numbers: blue first, so never R, G, B.
    (RGB, ('B2', 'B3', 'B4'), None, ("'R' is missing", 'B2, B3, B4',
                                     'bands=[')),
    (RGB, ('B02', 'B03', 'B04'), None, ("'R' is missing", 'bands=[')),
    (RGB, ('b1', 'b2', 'b3'), None, ("'R' is missing", 'bands=[')),
    (RGB, ('Band 3', 'Band 2', 'Band 1'), None, ("'R' is missing", )),
    (RGB, ('2', '3', '4'), None, ("'R' is missing", )),
    (S2, [f'Band {n}' for n in range(2, 12)], None, ("'B02' is missing", )),
    (S2, (None, ) * 13, None, ('expects 10 bands', 'found 13', "'B8A'")),
    (S2, (None, ) * 3, None, ('found 3', 'choose another sensor')),
    (S2, (None, ) * 13, THIRTEEN[:12], ('names 12 bands', 'found 13')),
    (S2, (None, ) * 13, (1, 2), ('list of 10 band numbers', )),
    (S1, (None, ) * 2, (0, 1), ('between 1 and 2', )),
    (S1, (None, ) * 2, ('VV', 'HH'), ("'VH' is missing", 'bands=')),
])
def test_refuses_bands(sensor, descriptions, bands, words):
    with pytest.raises(RasterContractError) as error:
        select_bands('folder/a.tif', sensor, descriptions, (), bands)
    message = str(error.value)
    assert message.startswith('folder/a.tif: ') and '\n' not in message
    for word in words:
        assert word in message


def test_refuses_rendered_image_as_reflectance():
    with pytest.raises(RasterContractError, match='found uint8.*scale='):
        check_dtype('a.tif', S2, 'uint8', overridden=False)
    check_dtype('a.tif', S2, 'uint8', overridden=True)
    check_dtype('a.tif', S2, 'uint16', overridden=False)


@pytest.mark.parametrize('sensor, values, dtype, words', [
    (S2, np.linspace(0.01, 0.6, 160), 'float32', 'scale=10000'),
    (S1, np.linspace(0.01, 0.6, 32), 'float32', "scale='decibel'"),
    (S1, np.linspace(-120, -100, 2048), 'float32', 'expects -70 to 35'),
    (S2, np.linspace(30000, 60000, 10240), 'uint16',
     'expects -1000 to 28000'),
])
def test_refuses_other_units(sensor, values, dtype, words):
    values = values.reshape(sensor.num_bands, 4, -1).astype(np.float32)
    valid = np.ones(values.shape[1:], bool)
    with pytest.raises(RasterContractError, match=words):
        check_values('a.tif', sensor, values, valid, dtype)
    # Unmeasured pixels never decide.
    assert not check_values('a.tif', sensor, values, ~valid, dtype).any()


def test_isolated_outliers_become_invalid():
    values = np.full((2, 20, 20), -12, np.float32)
    values[1, 3, 4] = -90
    valid = check_values('a.tif', S1, values, np.ones((20, 20), bool),
                         'float32')
    assert valid.sum() == 399 and not valid[3, 4]


def test_a_sparse_window_never_stops_a_map():
    """Three saturated pixels of twenty are left out; 3 of 20 of many not."""
    values = np.full((10, 40, 40), 2000, np.float32)
    values[:, :, ::5] = 40000
    sparse = np.zeros((40, 40), bool)
    sparse[0, :15] = True
    valid = check_values('a.tif', S2, values, sparse, 'uint16')
    assert valid.sum() == 12 and not (valid & ~sparse).any()
    with pytest.raises(RasterContractError, match='20 % of the pixels'):
        check_values('a.tif', S2, values, np.ones((40, 40), bool), 'uint16')


def grid(path='a.tif', crs='EPSG:32631', left=0.0, pixel=10.0, size=16,
         georeferenced=True):
    return Grid(path, CRS.from_string(crs) if crs else None,
                (left, 0.0, left + size * pixel, size * pixel),
                (pixel, pixel), (size, size), georeferenced)


@pytest.mark.parametrize('grids', [
    [],
    [grid()],
    [grid(), grid('b.tif', pixel=0.5, size=320)],
    [grid(pixel=0.5, size=320, left=4.9), grid('b.tif')],
    [grid(crs=None, georeferenced=False, size=5, pixel=1.0),
     grid(crs=None, georeferenced=False, size=9, pixel=1.0)],
])
def test_accepts_aligned(grids):
    check_alignment(grids)


@pytest.mark.parametrize('other, words', [
    (grid('b.tif', crs='EPSG:32632'), 'EPSG:32631.*EPSG:32632.*gdalwarp'),
    (grid('b.tif', crs=None), 'found none'),
    (grid('b.tif', left=5.1), 'bounds.*gdalwarp -te'),
    (grid('b.tif', size=17), 'bounds'),
])
def test_refuses_misaligned(other, words):
    with pytest.raises(RasterContractError, match=f'^b.tif: .*{words}'):
        check_alignment([grid(), grid(), other])
