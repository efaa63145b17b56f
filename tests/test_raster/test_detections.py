# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Objects of windows become objects of a raster."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from mmskysense.raster import WindowGrid
from mmskysense.raster.detections import (
    Detections,
    WindowCores,
    from_boxes,
    suppress,
)
from mmskysense.raster.vectors import (
    check_vector_output,
    to_map,
    write_detections,
)

ROTATED = Affine(1.7, 1.0, 100, 1.0, -1.7, 200)


def seen_by(grid, boxes, window):
    """What a perfect detector finds in a window: boxes cut at its border."""
    x0, y0 = window.column, window.row
    low = np.maximum(boxes[:, :2], (x0, y0))
    high = np.minimum(boxes[:, 2:], (x0 + window.width, y0 + window.height))
    there = (high - low > 1).all(1)
    cut = np.concatenate((low, high), 1)[there] - (x0, y0, x0, y0)
    return from_boxes(cut, np.full(there.sum(), 0.9),
                      np.zeros(there.sum(), int), (x0, y0))


@settings(max_examples=60, deadline=None)
@given(st.integers(30, 120), st.integers(30, 120), st.data())
def test_an_object_of_the_overlap_s_size_is_found_once_and_whole(
        height, width, data):
    grid = WindowGrid(height, width, (24, 24), (12, 12))
    side = data.draw(st.integers(3, 6))  # at most half the overlap
    x = data.draw(st.integers(0, width - side))
    y = data.draw(st.integers(0, height - side))
    box = np.array([[x, y, x + side, y + side]], float)
    cores = WindowCores(grid)
    windows = list(grid)
    order = data.draw(st.permutations(range(len(windows))))
    found = suppress(Detections.join([
        cores.keep(windows[n], seen_by(grid, box, windows[n]))
        for n in order]))
    assert len(found) == 1
    np.testing.assert_allclose(found.corners[0].min(0), box[0, :2])
    np.testing.assert_allclose(found.corners[0].max(0), box[0, 2:])


def test_the_order_of_windows_does_not_matter():
    random = np.random.default_rng(0)
    low = random.uniform(0, 60, (60, 2))
    boxes = np.concatenate((low, low + random.uniform(30, 50, (60, 2))), 1)
    found = from_boxes(boxes, random.choice([0.5, 0.7], 60),
                       random.integers(0, 2, 60))
    wanted = suppress(found)
    assert 0 < len(wanted) < 60
    for seed in range(3):
        other = suppress(found[np.random.default_rng(seed).permutation(60)])
        np.testing.assert_array_equal(other.corners, wanted.corners)
        np.testing.assert_array_equal(other.labels, wanted.labels)


def test_classes_do_not_suppress_each_other():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [1, 0, 11, 10.]])
    found = suppress(from_boxes(boxes, [0.9, 0.8, 0.7], [0, 1, 0]))
    assert found.scores.tolist() == [0.9, 0.8]
    assert len(suppress(found[np.zeros(0, int)])) == 0


def test_oriented_boxes_have_their_corners_and_merge():
    pytest.importorskip('mmcv._ext')
    boxes = np.array([[20, 10, 8, 4, np.pi / 2], [20.5, 10, 8, 4, np.pi / 2],
                      [60, 10, 8, 4, 0.3]])
    found = from_boxes(boxes, [0.9, 0.8, 0.7], [0, 0, 0], (100, 0))
    np.testing.assert_allclose(found.corners[0], [
        (122, 6), (122, 14), (118, 14), (118, 6)], atol=1e-9)
    assert found.angles[0] == pytest.approx(90)
    assert suppress(found).scores.tolist() == [0.9, 0.7]


@pytest.mark.parametrize('suffix', ['.gpkg', '.geojson'])
@pytest.mark.parametrize('transform', [Affine(2, 0, 5e5, 0, -2, 46e5),
                                       ROTATED])
def test_files_hold_polygons_where_they_are(tmp_path, suffix, transform):
    geopandas = pytest.importorskip('geopandas')
    found = from_boxes(np.array([[1, 2, 5, 4.], [7, 7, 9, 9]]), [0.5, 0.25],
                       [1, 0])
    path = tmp_path / f'objects{suffix}'
    write_detections(path, found, ['car', 'boat'], 'EPSG:32631', transform)
    frame = geopandas.read_file(path)
    assert frame.class_name.tolist() == ['boat', 'car']
    assert frame.score.tolist() == [0.5, 0.25]
    assert frame.crs.to_epsg() == (32631 if suffix == '.gpkg' else 4326)
    wanted = to_map(found.corners, transform)
    for polygon, ring in zip(frame.to_crs(32631).geometry, wanted,
                             strict=True):
        points = np.array(polygon.exterior.coords)[:4]
        distance = np.linalg.norm(points[:, None] - ring[None], axis=-1)
        # GeoJSON keeps seven decimals of a degree, about a centimetre.
        assert (distance.min(1) < 0.02).all()
    assert os.listdir(tmp_path) == [path.name]


def test_nothing_found_is_a_file_without_objects(tmp_path):
    geopandas = pytest.importorskip('geopandas')
    write_detections(tmp_path / 'none.gpkg', Detections.join([]), ['car'],
                     'EPSG:32631', ROTATED)
    assert len(geopandas.read_file(tmp_path / 'none.gpkg')) == 0


@pytest.mark.parametrize('name,crs,words', [
    ('a.shp', 'EPSG:4326', 'ends with one of .gpkg, .geojson'),
    ('a.geojson', None, 'has no CRS'),
    ('absent/a.gpkg', 'EPSG:4326', 'create it with mkdir')])
def test_files_that_cannot_be_are_refused(tmp_path, name, crs, words):
    pytest.importorskip('geopandas')
    with pytest.raises((ValueError, OSError), match=words):
        check_vector_output(tmp_path / name, crs)
