# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.datasets.transforms.exact_resample import (
    nearest_box,
    resample_box,
    resampling_weights,
)
from mmskysense.datasets.transforms.multi_crop_views import MultiCropViews

SIDES = dict(hr_rgb=320, s2_l2a=16, s1_grd=16)
SIZES = dict(hr_rgb=(64, 32), s2_l2a=(16, 8), s1_grd=(16, 8))


def ground_coordinates(side):
    """x and y at pixel centres as fractions of the tile, (1, 2, S, S)."""
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    return np.stack(np.meshgrid(centres, centres))[None]


def tile(dates=1, invalid=None):
    """A tile whose pixel values are their ground coordinates."""
    results = dict(images={}, valid={}, dates={})
    for name, side in SIDES.items():
        results['images'][name] = np.repeat(
            ground_coordinates(side), dates, axis=0)
        results['valid'][name] = np.ones((dates, side, side), bool)
        results['dates'][name] = np.arange(dates) * 10 + 1
    return results


def expected_coordinates(box, flip, size):
    centres = (np.arange(size) + 0.5) / size
    x = box[0] + centres * (box[2] - box[0])
    y = box[1] + centres * (box[3] - box[1])
    x, y = x[::-1] if flip[0] else x, y[::-1] if flip[1] else y
    return np.stack(np.meshgrid(x, y))


def inner(coordinates, side):
    """Away from the tile's rim, where there is no pixel further out."""
    rim = 2.0 / side
    return ((coordinates > rim) & (coordinates < 1 - rim)).all(axis=0)


@settings(max_examples=60, deadline=None)
@given(x0=st.floats(0, 0.7), y0=st.floats(0, 0.7),
       width=st.floats(0.1, 1), height=st.floats(0.1, 1),
       flip=st.tuples(st.booleans(), st.booleans()),
       kind=st.sampled_from([0, 1]))
def test_every_sensor_shows_the_box_exactly(x0, y0, width, height, flip,
                                            kind):
    box = (x0, y0, min(x0 + width, 1.0), min(y0 + height, 1.0))
    view = MultiCropViews(SIZES).cut(tile(), kind, box, flip)
    for name, side in SIDES.items():
        size = SIZES[name][kind]
        wanted = expected_coordinates(box, flip, size)
        found = view['images'][name][0]
        assert found.shape == (2, size, size)
        # A footprint wider than a tile pixel needs room at the rim.
        wide = max(box[2] - box[0], box[3] - box[1]) * side / size
        here = inner(wanted, side / max(1, wide))
        error = np.abs(found - wanted)[:, here]
        assert error.size == 0 or error.max() < 1e-4
        assert view['valid'][name].all()


def test_whole_tile_at_its_own_size_is_almost_itself():
    # Box averaging over one pixel of a bilinear surface: a 1-6-1 filter.
    image = np.random.default_rng(0).random((1, 1, 8, 8), dtype=np.float32)
    ones = np.ones((1, 8, 8), bool)
    result, _ = resample_box(image, ones, (0, 0, 1, 1), 8)
    row = np.pad(image[0, 0], 1, mode='edge')
    smooth = (row[:-2] + 6 * row[1:-1] + row[2:]) / 8
    smooth = (smooth[:, :-2] + 6 * smooth[:, 1:-1] + smooth[:, 2:]) / 8
    np.testing.assert_allclose(result[0, 0], smooth, atol=1e-6)


def test_shrinking_averages():
    # A chequerboard must become grey, not alias.
    board = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)[None, None]
    result, _ = resample_box(board, np.ones((1, 64, 64), bool),
                             (0, 0, 1, 1), 8)
    assert np.abs(result[0, 0, 1:-1, 1:-1] - 0.5).max() < 0.02


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 50), start=st.floats(0, 0.9),
       extent=st.floats(0.01, 1), size=st.integers(1, 40))
def test_weights_are_an_average(length, start, extent, size):
    stop = min(start + extent, 1.0)
    weights, first = resampling_weights(length, start * length,
                                        stop * length, size)
    assert first >= 0 and first + weights.shape[1] <= length
    assert (weights >= -1e-6).all()
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)


def test_unmeasured_pixels_never_leak():
    image = np.full((2, 1, 32, 32), 5, np.float32)
    valid = np.ones((2, 32, 32), bool)
    valid[0, 10, 12] = False
    image[0, 0, 10, 12] = np.nan
    values, seen = resample_box(image, valid, (0.1, 0.1, 0.9, 0.9), 20)
    assert np.isfinite(values).all()
    assert seen[1].all() and not seen[0].all() and seen[0].mean() > 0.9
    np.testing.assert_allclose(values[:, 0][seen], 5, rtol=1e-5)
    assert (values[:, 0][~seen] == 0).all()
    # The hole is where it was: (12.5 / 32 - 0.1) / 0.8 * 20 = 7.3
    assert not seen[0, 5, 7]


def test_views_of_a_tile():
    results = MultiCropViews(
        SIZES, num_dates=dict(s2_l2a=2)).transform(tile(dates=5))
    assert len(results['global_views']) == 2
    assert len(results['local_views']) == 4
    for key, (low, high), kind in (('global_views', (0.32, 1.0), 0),
                                   ('local_views', (0.05, 0.32), 1)):
        for view in results[key]:
            x0, y0, x1, y1 = view['box']
            assert view['box'].dtype == np.float32
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            area = (x1 - x0) * (y1 - y0)
            assert low - 1e-5 <= area <= high + 1e-5
            assert view['images']['s2_l2a'].shape == (
                2, 2, *[SIZES['s2_l2a'][kind]] * 2)
            assert view['images']['s1_grd'].shape[0] == 5
            assert (np.diff(view['dates']['s2_l2a']) > 0).all()
    chosen = {tuple(v['dates']['s2_l2a']) for v in results['local_views']}
    assert len(chosen) > 1


def test_missing_sensor_gives_no_dates():
    results = tile()
    results['images']['s1_grd'] = np.zeros((0, 2, 1, 1), np.float32)
    results['valid']['s1_grd'] = np.zeros((0, 1, 1), bool)
    results['dates']['s1_grd'] = np.zeros(0, np.int64)
    view = MultiCropViews(SIZES).transform(results)['global_views'][0]
    assert view['images']['s1_grd'].shape == (0, 2, 16, 16)
    assert view['valid']['s1_grd'].shape == (0, 16, 16)


def test_prefers_measured_ground():
    results = tile()
    for name, side in SIDES.items():
        results['valid'][name][:, :, side // 2:] = False
    views = MultiCropViews(
        SIZES, local_views=20, min_valid=0.5).transform(results)
    fractions = [v['valid']['hr_rgb'].mean() for v in views['local_views']]
    assert np.mean([f >= 0.4 for f in fractions]) > 0.9


@pytest.mark.parametrize('flip', [(False, False), (True, False),
                                  (False, True), (True, True)])
def test_validity_flips_with_the_image(flip):
    results = tile()
    for name, side in SIDES.items():
        # Nothing is measured in the upper left quarter.
        results['valid'][name][:, :side // 2, :side // 2] = False
        results['images'][name] = np.ones((1, 1, side, side), np.float32)
    view = MultiCropViews(SIZES).cut(results, 0, (0.0, 0.0, 1.0, 1.0), flip)
    for name, (size, _) in SIZES.items():
        expected = np.ones((size, size), bool)
        expected[:size // 2, :size // 2] = False
        axes = [axis for axis, flipped in ((1, flip[0]), (0, flip[1]))
                if flipped]
        expected = np.flip(expected, axes)
        seen = view['valid'][name][0]
        # The rim of the hole may fall to either side when resampling.
        assert (seen != expected).mean() < 0.1
        corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
        assert [seen[c] for c in corners] == [expected[c] for c in corners]
        assert (view['images'][name][0, 0] > 0).tolist() == seen.tolist()


@pytest.mark.parametrize('options, words', [
    (dict(global_scale=(0, 1)), 'global_scale'),
    (dict(local_scale=(0.5, 0.2)), 'local_scale'),
    (dict(global_views=0), 'global_views'),
    (dict(aspect_ratio=(2, 1)), 'aspect_ratio'),
    (dict(sizes=dict(hr_rgb=(64, ))), 'sizes'),
    (dict(sizes=dict(hr_rgb=(64, 3))), r'\(64, 3\).*patch size of 4'),
    (dict(sizes=dict(s1_grd=(16, 8)), patch_size=16), 'patch size of 16'),
])
def test_refuses_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        MultiCropViews(**{'sizes': SIZES, **options})


def test_refuses_sensor_that_was_not_loaded():
    results = tile()
    del results['images']['s1_grd']
    with pytest.raises(ValueError, match='s1_grd.*LoadMultiSensorTile'):
        MultiCropViews(SIZES).transform(results)


@settings(max_examples=60, deadline=None)
@given(x0=st.floats(0, 0.7), y0=st.floats(0, 0.7),
       width=st.floats(0.1, 1), height=st.floats(0.1, 1),
       flip=st.tuples(st.booleans(), st.booleans()),
       kind=st.sampled_from([0, 1]), rows=st.integers(1, 40),
       columns=st.integers(1, 40))
def test_labels_show_the_same_ground_as_images(x0, y0, width, height, flip,
                                               kind, rows, columns):
    """Labels that number cells of ground, images that are coordinates."""
    box = (x0, y0, min(x0 + width, 1.0), min(y0 + height, 1.0))
    results = tile()
    results['tile_labels'] = (
        100 * np.arange(rows)[:, None] + np.arange(columns))
    view = MultiCropViews(SIZES, label_sizes=SIZES['hr_rgb']).cut(
        results, kind, box, flip)
    x, y = view['images']['hr_rgb'][0]
    # At the rim the image has no pixel further out, and between two cells a
    # rounding error decides.
    here = inner(np.stack([x, y]), SIDES['hr_rgb'] / 4)
    for cells in (x * columns, y * rows):
        here &= np.abs(cells - np.rint(cells)) > 1e-2
    wanted = 100 * np.floor(y * rows) + np.floor(x * columns)
    assert view['labels'].shape == x.shape
    np.testing.assert_array_equal(view['labels'][here], wanted[here])
    # Also where it is not compared, a label is a neighbour's at most.
    assert np.isin(view['labels'], results['tile_labels']).all()


def test_labels_do_not_change_the_draw():
    """The same seed gives the same views, with labels and without."""
    boxes = []
    for label_sizes in (None, (8, 4)):
        np.random.seed(3)
        results = dict(tile(), tile_labels=np.zeros((5, 5), np.uint8),
                       location=np.zeros(2, np.float32))
        views = MultiCropViews(SIZES, label_sizes=label_sizes).transform(
            results)
        boxes.append([v['box'].tolist() for v in views['local_views']])
        assert all('location' in v for v in views['global_views'])
        assert ('labels' in views['local_views'][0]) == bool(label_sizes)
    assert boxes[0] == boxes[1]
    assert views['local_views'][0]['labels'].shape == (4, 4)


def test_whole_label_map_at_its_own_size_is_itself():
    labels = np.random.default_rng(0).integers(0, 9, (7, 7)).astype(np.uint8)
    cut = nearest_box(labels, (0, 0, 1, 1), 7)
    np.testing.assert_array_equal(cut, labels)
    assert cut.dtype == np.uint8


def test_refuses_label_sizes_without_labels():
    with pytest.raises(ValueError, match='LoadTileLabels'):
        MultiCropViews(SIZES, label_sizes=(4, 2)).transform(tile())
    with pytest.raises(ValueError, match='label_sizes must be'):
        MultiCropViews(SIZES, label_sizes=(4, ))


@pytest.mark.parametrize('corner', [(0, 0), (280, 280), (150, 0)])
def test_a_tile_of_nodata_still_gives_views(corner):
    """40 by 40 of 320 by 320 pixels are measured: 1.6 %."""
    results = tile()
    for valid in results['valid'].values():
        valid[:] = False
    rows, columns = (slice(c, c + 40) for c in corner)
    results['valid']['hr_rgb'][:, rows, columns] = True
    views = MultiCropViews(SIZES, local_views=30).transform(results)
    for key, (low, high) in (('global_views', (0.32, 1.0)),
                             ('local_views', (0.05, 0.32))):
        seen = [view['valid']['hr_rgb'].any() for view in views[key]]
        assert np.mean(seen) > 0.9
        for view in views[key]:
            x0, y0, x1, y1 = view['box']
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            assert low - 1e-4 <= (x1 - x0) * (y1 - y0) <= high + 1e-4
            assert np.isfinite(view['images']['hr_rgb']).all()
    boxes = {tuple(view['box']) for view in views['local_views']}
    assert len(boxes) == 30


def test_a_tile_without_any_measured_pixel_gives_empty_views():
    results = tile()
    for valid in results['valid'].values():
        valid[:] = False
    views = MultiCropViews(SIZES).transform(results)
    for view in views['global_views'] + views['local_views']:
        assert not any(valid.any() for valid in view['valid'].values())
        assert all((image == 0).all() for image in view['images'].values())
