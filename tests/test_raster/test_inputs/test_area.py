# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json

import numpy as np
import pytest
from rasterio.transform import Affine, from_origin

from mmskysense.raster import RasterContractError
from mmskysense.raster.inputs import read_area

pytest.importorskip('pyogrio', reason='pyogrio is not installed')
shapely = pytest.importorskip('shapely', reason='shapely is not installed')

UTM = 'EPSG:32632'
# 100 x 80 pixels of 10 m.
GRID = ('map.tif', UTM, from_origin(600000, 5000000, 10, 10), (80, 100))


def ring(left, bottom, right, top):
    return [[[left, bottom], [right, bottom], [right, top], [left, top],
             [left, bottom]]]


@pytest.fixture
def geojson(tmp_path):
    """A function that writes geometries as GeoJSON."""

    def write(*rings, crs=None, kind='Polygon', name='area.geojson'):
        document = dict(type='FeatureCollection', features=[
            dict(type='Feature', properties={}, geometry=dict(
                type=kind, coordinates=coordinates))
            for coordinates in rings])
        if crs:
            document['crs'] = dict(type='name', properties=dict(
                name=f'urn:ogc:def:crs:EPSG::{crs}'))
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return write


def test_window_and_mask_in_the_raster_s_own_system(geojson):
    # Columns 20 to 39 and rows 10 to 29, to the pixel.
    area = read_area(geojson(ring(600200, 4999700, 600400, 4999900),
                             crs=32632))
    placed = area.on_grid(*GRID)
    assert placed.window == (10, 20, 20, 20)
    inside = placed.mask(0, 0, 80, 100)
    assert inside[10:30, 20:40].all() and inside.sum() == 400
    # Windows are parts of the whole, also those beyond the raster.
    for window in ((0, 0, 15, 30), (12, 25, 40, 75), (-4, -4, 30, 30)):
        row, column, height, width = window
        whole = np.zeros((200, 200), dtype=bool)
        whole[60:140, 60:160] = inside
        np.testing.assert_array_equal(
            placed.mask(*window),
            whole[60 + row:60 + row + height, 60 + column:60 + column + width])
    assert placed.mask(60, 60, 5, 5).sum() == 0
    assert placed.mask(15, 25, 3, 3).all()


def test_pixels_that_the_border_crosses_count(geojson):
    area = read_area(geojson(ring(600204, 4999896, 600206, 4999897),
                             crs=32632))
    placed = area.on_grid(*GRID)
    assert placed.window == (10, 20, 1, 1)
    assert placed.mask(*placed.window).all()


def test_area_in_degrees_is_reprojected(geojson):
    from rasterio.warp import transform
    xs, ys = transform(UTM, 'EPSG:4326',
                       [600200, 600400, 600400, 600200],
                       [4999700, 4999700, 4999900, 4999900])
    corners = [[x, y] for x, y in zip(xs, ys, strict=True)]
    placed = read_area(geojson([[*corners, corners[0]]])).on_grid(*GRID)
    inside = placed.mask(0, 0, 80, 100)
    # Rounding may move the border across a pixel's edge.
    assert inside[10:30, 20:40].all()
    assert not np.delete(np.delete(inside, range(9, 31), 0), range(19, 41),
                         1).any()


def test_area_in_feet(geojson):
    """State plane feet onto a grid in metres of the same projection."""
    metres = 'EPSG:32118'  # NAD83 / New York Long Island, metres
    foot = 1200 / 3937  # EPSG:2263 is the same in US survey feet
    grid = ('ny.tif', metres, from_origin(300000, 60000, 10, 10), (80, 100))
    area = read_area(geojson(
        ring(300200 / foot, 59700 / foot, 300400 / foot, 59900 / foot),
        crs=2263))
    placed = area.on_grid(*grid)
    inside = placed.mask(0, 0, 80, 100)
    assert inside[10:30, 20:40].all() and inside.sum() <= 22 * 22


def test_geopackage_with_layers(tmp_path):
    import pyogrio
    path = tmp_path / 'areas.gpkg'
    for layer, left in (('west', 600000), ('east', 600500)):
        square = shapely.box(left, 4999300, left + 100, 4999400)
        pyogrio.raw.write(
            path, shapely.to_wkb([square]), [np.array(['x'])], ['name'],
            layer=layer, driver='GPKG', geometry_type='Polygon', crs=UTM,
            append=path.exists())
    with pytest.raises(RasterContractError,
                       match='expected one layer, found west, east; name one'):
        read_area(path)
    assert read_area(path, 'east').on_grid(*GRID).window == (60, 50, 10, 10)
    with pytest.raises(RasterContractError, match='cannot be read'):
        read_area(path, 'north')


def test_rotated_raster(geojson):
    turn = Affine.translation(600000, 5000000) * Affine.rotation(-30) \
        * Affine.scale(10, -10)
    centre = turn * (50, 40)
    square = ring(centre[0] - 50, centre[1] - 50, centre[0] + 50,
                  centre[1] + 50)
    placed = read_area(geojson(square, crs=32632)).on_grid(
        'r.tif', UTM, turn, (80, 100))
    inside = placed.mask(0, 0, 80, 100)
    assert inside[40, 50] and 100 <= inside.sum() <= 150


def test_area_outside_prints_both_bounds(geojson):
    area = read_area(geojson(ring(610000, 4999700, 610400, 4999900),
                             crs=32632))
    with pytest.raises(
            RasterContractError,
            match=r'expected an area inside map.tif \(600000, 4999200, 601000,'
            r' 5000000\), found \(610000, 4999700, 610400, 4999900\) .* in '
            'EPSG:32632'):
        area.on_grid(*GRID)


def test_area_around_a_corner_that_misses_the_raster(geojson):
    bent = [[[599000, 5001000], [602000, 5001000], [602000, 4999500],
             [601500, 5000500], [599000, 5000500], [599000, 5001000]]]
    with pytest.raises(RasterContractError, match='expected an area inside'):
        read_area(geojson(bent, crs=32632)).on_grid(*GRID)


@pytest.mark.parametrize('crs, transform, found', [
    (None, GRID[2], 'found no CRS and one'),
    (UTM, Affine.identity(), 'found EPSG:32632 and no geotransform'),
])
def test_raster_without_georeference(geojson, crs, transform, found):
    area = read_area(geojson(ring(9, 45, 10, 46)))
    with pytest.raises(RasterContractError,
                       match=f'a.tif: an area of interest needs .*{found}'):
        area.on_grid('a.tif', crs, transform, (80, 100))


def test_antimeridian_cut_in_two(geojson):
    """Zone 60 across 180 degrees: one area, two polygons."""
    grid = ('fiji.tif', 'EPSG:32760', from_origin(815000, 8010000, 100, 100),
            (100, 200))
    area = read_area(geojson(ring(179.99, -18.05, 180, -18.0),
                             ring(-180, -18.05, -179.99, -18.0)))
    placed = area.on_grid(*grid)
    _, _, height, width = placed.window
    assert 15 < width < 30 and 45 < height < 70
    inside = placed.mask(*placed.window)
    assert inside.mean() > 0.8  # and no gap between the halves
    assert (inside.any(axis=0)).all()


def test_raster_in_degrees_across_the_antimeridian(geojson):
    grid = ('fiji.tif', 'EPSG:4326', from_origin(179, -17, 0.01, 0.01),
            (200, 200))
    area = read_area(geojson(ring(179.9, -18.0, 180, -17.9),
                             ring(-180, -18.0, -179.9, -17.9)))
    row, column, height, width = area.on_grid(*grid).window
    assert 89 <= row <= 90 and 89 <= column <= 90
    assert 10 <= height <= 12 and 20 <= width <= 22


def test_wrapped_polygon_is_refused(geojson):
    with pytest.raises(RasterContractError,
                       match='a polygon spans 359.98 degrees .* crosses the '
                       'antimeridian, cut it there'):
        read_area(geojson(ring(-179.99, -18.05, 179.99, -18.0)))


def test_area_of_the_whole_world(geojson):
    placed = read_area(geojson(ring(-180, -90, 180, 90))).on_grid(*GRID)
    assert placed.window == (0, 0, 80, 100)
    assert placed.mask(0, 0, 80, 100).all()


def test_raster_around_a_pole(geojson):
    grid = ('pole.tif', 'EPSG:3413', from_origin(-50000, 50000, 1000, 1000),
            (100, 100))
    area = read_area(geojson(ring(0, 89.8, 90, 89.9)))
    placed = area.on_grid(*grid)
    assert 0.02 < placed.mask(0, 0, 100, 100).mean() < 0.05


@pytest.mark.parametrize('kind, coordinates', [
    ('Point', [9, 45]), ('LineString', [[9, 45], [10, 46]])])
def test_other_geometries_are_refused(geojson, kind, coordinates):
    with pytest.raises(RasterContractError,
                       match=f'expected polygons, found {kind}'):
        read_area(geojson(coordinates, kind=kind))


def test_self_crossing_polygon_is_repaired(geojson):
    bow = [[[600200, 4999700], [600400, 4999900], [600400, 4999700],
            [600200, 4999900], [600200, 4999700]]]
    placed = read_area(geojson(bow, crs=32632)).on_grid(*GRID)
    inside = placed.mask(*placed.window)
    assert not inside[0, 10] and inside[10, 1]


def test_unreadable_files(tmp_path):
    with pytest.raises(RasterContractError, match='found no such file'):
        read_area(tmp_path / 'nowhere.geojson')
    (tmp_path / 'x.geojson').write_text('{"type": "Feat')
    with pytest.raises(RasterContractError, match='cannot be read'):
        read_area(tmp_path / 'x.geojson')
