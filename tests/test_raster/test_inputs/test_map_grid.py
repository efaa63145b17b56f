# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import Affine, from_origin

from mmskysense.raster import RasterContractError
from mmskysense.raster.ground_size import metres_per_unit, pixel_metres
from mmskysense.raster.inputs import (
    MapGrid,
    grid_of,
    grid_of_image,
    open_input,
    overlaps,
    requested_grid,
)
from mmskysense.raster.open_files import open_raster

UTM = CRS.from_epsg(32632)
SCENE = MapGrid(UTM, from_origin(600003, 5000007, 10, 10), (80, 100), 's.tif')


def test_finest_band_gives_the_grid(product):
    (image, ) = open_input(product, 's2_l2a')
    grid = grid_of_image(image)
    assert grid.shape == (60, 60) and grid.transform.a == 10
    assert grid.path.endswith('B02_10m.jp2')


def test_grid_of_a_raster_and_its_part(write_raster):
    path = write_raster('a.tif', np.zeros((1, 6, 8), np.uint8))
    grid = grid_of(path)
    assert grid.shape == (6, 8) and grid.has_place
    part = grid.crop((2, 3, 4, 5))
    assert part.shape == (4, 5)
    assert part.transform * (0, 0) == grid.transform * (3, 2)
    assert not MapGrid(None, Affine.identity(), (2, 2)).has_place


def test_other_resolution_lies_on_multiples():
    grid = requested_grid(SCENE, resolution=20)
    assert grid.crs == UTM and grid.transform.a == 20
    assert grid.bounds[0] == 600000 and grid.bounds[3] == 5000020
    # Covers the scene, with less than a pixel to spare at each side.
    for own, other, sign in zip(grid.bounds, SCENE.bounds, (1, 1, -1, -1),
                                strict=True):
        assert 0 <= sign * (other - own) < 20


def test_aligned_scene_keeps_its_grid():
    scene = MapGrid(UTM, from_origin(600000, 5000000, 10, 10), (80, 100))
    grid = requested_grid(scene, 'EPSG:32632')
    assert grid.transform == scene.transform and grid.shape == scene.shape


def test_other_crs_keeps_the_ground_size():
    grid = requested_grid(SCENE, 'EPSG:4326')
    x, y = metres_per_unit(grid.crs, 10.3, 45.1)
    metres = grid.transform.a * np.sqrt(x * y)
    assert metres == pytest.approx(10, rel=0.01)
    assert overlaps(grid, SCENE) and overlaps(SCENE, grid)
    feet = requested_grid(
        MapGrid(CRS.from_epsg(32118), from_origin(300000, 60000, 10, 10),
                (80, 100)), 'EPSG:2263')
    assert feet.transform.a == pytest.approx(10 / 0.3048006096, rel=1e-6)
    assert 100 <= feet.shape[1] <= 101


def test_scenes_apart_do_not_overlap():
    away = MapGrid(UTM, from_origin(700000, 5000000, 10, 10), (80, 100))
    assert not overlaps(SCENE, away)


@pytest.mark.parametrize('crs, resolution, message', [
    ('EPSG:4326', 10.0, r'resolution=10: expected a number in units of '
     r'EPSG:4326 \(degrees\), found pixels of .* m for an input of 10 m; 10 m '
     'are 0.0001.* degrees there'),
    (None, 0.0, 'expected a positive number'),
    (None, float('nan'), 'expected a positive number'),
    ('EPSG:999999', None, 'crs=EPSG:999999: expected a coordinate'),
    ('lambert', None, 'crs=lambert: expected a coordinate'),
])
def test_requests_that_cannot_be_meant(crs, resolution, message):
    with pytest.raises(ValueError, match=message):
        requested_grid(SCENE, crs, resolution)


def test_reference_without_georeference():
    with pytest.raises(RasterContractError, match='p.png: a requested grid'):
        requested_grid(MapGrid(None, Affine.identity(), (4, 4), 'p.png'),
                       'EPSG:4326')


def test_antimeridian_in_degrees_is_refused():
    fiji = MapGrid(CRS.from_epsg(32760), from_origin(815000, 8010000, 500,
                                                     500), (90, 120), 'f.tif')
    with pytest.raises(RasterContractError, match='f.tif: expected a place '
                       'that EPSG:4326 can express.*cross the antimeridian'):
        requested_grid(fiji, 'EPSG:4326')
    # Its own zone is no trouble.
    assert requested_grid(fiji, resolution=1000).shape == (45, 60)


@pytest.mark.parametrize('crs, place, metres', [
    ('EPSG:32632', (500000, 5000000), 1.0),
    ('EPSG:2263', (1000000, 200000), 0.3048006096),
    ('EPSG:4326', (9.0, 0.0), 111195.08),
    # Web Mercator stretches by the cosine of the latitude.
    ('EPSG:3857', (1000000, 8399737.89), 0.5),
])
def test_metres_per_unit(crs, place, metres):
    assert metres_per_unit(crs, *place)[0] == pytest.approx(metres, rel=1e-3)


def test_pixels_in_metres(write_raster):
    path = write_raster('f.tif', np.zeros((1, 4, 4), np.uint8),
                        crs='EPSG:2263', pixel=2.0, origin=(1e6, 2e5))
    assert pixel_metres(open_raster(path)) == pytest.approx(0.6096, rel=1e-3)


@pytest.mark.parametrize('kind', ['points', 'coefficients'])
def test_control_points_alone_are_refused_with_advice(tmp_path, kind):
    path = tmp_path / 'scene.tif'
    options = dict(driver='GTiff', height=20, width=30, count=1,
                   dtype='uint8')
    if kind == 'points':
        points = [GroundControlPoint(row, column, 10 + column / 100,
                                     50 - row / 100)
                  for row in (0, 20) for column in (0, 30)]
        options.update(gcps=points, crs='EPSG:4326')
    with rasterio.open(path, 'w', **options) as dataset:
        dataset.write(np.ones((1, 20, 30), np.uint8))
        if kind == 'coefficients':
            ones = [0.5] * 20
            dataset.rpcs = RPC(
                height_off=1, height_scale=1, lat_off=1, lat_scale=1,
                line_den_coeff=ones, line_num_coeff=ones, line_off=1,
                line_scale=1, long_off=1, long_scale=1, samp_den_coeff=ones,
                samp_num_coeff=ones, samp_off=1, samp_scale=1)
    words = '4 ground control points' if kind == 'points' else 'rational'
    with pytest.raises(RasterContractError, match=f'scene.tif: .*{words}.*'
                       'gdalwarp'):
        grid_of(str(path))
