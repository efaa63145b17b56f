# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.raster import (
    Region,
    StreamingBlender,
    WindowGrid,
    blend_weights,
)


def _cut(array, window):
    """A window of (..., H, W), zeros beyond the raster."""
    part = array[..., window.row:window.row + window.height,
                 window.column:window.column + window.width]
    result = np.zeros((*array.shape[:-2], window.height, window.width),
                      array.dtype)
    result[..., :part.shape[-2], :part.shape[-1]] = part
    return result


def _blend(grid, scores, valid, blend='hann', change=lambda cut, window: cut):
    """The blended scores of a whole raster, and which rows came when."""
    blender = StreamingBlender(grid, len(scores), blend)
    result = np.full(scores.shape, np.nan, np.float32)
    seen = np.zeros(valid.shape, dtype=bool)
    rows_done, largest = 0, 0

    def take(rows):
        nonlocal rows_done, largest
        assert rows.row == rows_done
        count = rows.scores.shape[1]
        result[:, rows.row:rows.row + count] = rows.scores
        seen[rows.row:rows.row + count] = rows.valid
        rows_done += count
        largest = max(largest, count)

    for window in grid:
        mask = _cut(valid, window)
        cut = change(_cut(scores, window), window) if mask.any() else None
        for rows in blender.add(window, cut, mask):
            take(rows)
    for rows in blender.finish():
        take(rows)
    assert rows_done == grid.height
    return result, seen, largest


@pytest.mark.parametrize('blend', ['hann', 'linear', 'mean'])
@pytest.mark.parametrize('size', [(1, 1), (7, 9), (8, 8), (17, 23), (16, 31)])
def test_shift_invariant_scores_come_back_for_every_overlap(blend, size):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, *size)).astype(np.float32)
    valid = np.ones(size, dtype=bool)
    for overlap in range(8):
        grid = WindowGrid(*size, (8, 8), (overlap, overlap))
        result, seen, _ = _blend(grid, scores, valid, blend)
        np.testing.assert_allclose(result, scores, rtol=0, atol=1e-5)
        assert seen.all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9),
       st.integers(1, 9), st.data())
def test_streamed_equals_the_weighted_mean_over_all_windows(
        height, width, rows, columns, data):
    overlap = (data.draw(st.integers(0, rows - 1)),
               data.draw(st.integers(0, columns - 1)))
    grid = WindowGrid(height, width, (rows, columns), overlap)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    valid = rng.random((height, width)) > data.draw(
        st.sampled_from([0.0, 0.5, 0.97]))
    scores = rng.normal(size=(2, height, width)).astype(np.float32)
    # Scores that depend on the window, as a network with context gives.
    offsets = {w.as_tuple(): rng.normal() for w in grid}

    def change(cut, window):
        return cut + np.float32(offsets[window.as_tuple()])

    weights = blend_weights('hann', grid.window).astype(np.float64)
    total = np.zeros((2, height, width))
    weight = np.zeros((height, width))
    for window in grid:
        if not _cut(valid, window).any():
            continue
        place = (slice(window.row, window.row + rows),
                 slice(window.column, window.column + columns))
        inside = weight[place].shape
        part = weights[:inside[0], :inside[1]]
        weight[place] += part
        total[(slice(None), *place)] += part * change(
            _cut(scores, window), window)[:, :inside[0], :inside[1]]
    result, seen, largest = _blend(grid, scores, valid, change=change)
    np.testing.assert_array_equal(seen, valid)
    assert (result[:, ~valid] == 0).all()
    np.testing.assert_allclose(
        result[:, valid], (total / np.maximum(weight, 1e-30))[:, valid],
        rtol=1e-5, atol=1e-5)
    assert largest <= rows


def test_a_seam_is_smoothed():
    # Two windows that disagree: the blend passes from one to the other with
    # no step larger than the weights allow; without weights it jumps.
    grid = WindowGrid(16, 24, (16, 16), (8, 8))
    scores = np.zeros((1, 16, 24), np.float32)

    def change(cut, window):
        return cut + np.float32(window.column > 0)

    valid = np.ones((16, 24), dtype=bool)
    smooth, _, _ = _blend(grid, scores, valid, 'hann', change)
    assert smooth[0, 8, 0] == 0
    assert smooth[0, 8, -1] == pytest.approx(1)
    steps = np.diff(smooth[0, 8])
    assert (steps >= -1e-6).all()
    assert steps.max() < 0.25
    rough, _, _ = _blend(grid, scores, valid, 'mean', change)
    assert np.diff(rough[0, 8]).max() == pytest.approx(0.5)


def test_memory_does_not_grow_with_the_height():
    sizes = [
        StreamingBlender(WindowGrid(height, 50, (16, 16), (8, 8)), 4).nbytes
        for height in (16, 160, 16000)
    ]
    assert len(set(sizes)) == 1
    assert sizes[0] == 16 * 50 * (4 * 4 + 4 + 1)


def test_memory_while_blending_is_the_stated_one():
    peaks = []
    for height in (64, 512):
        grid = WindowGrid(height, 256, (32, 32), (16, 16))
        ones = np.ones((8, 32, 32), np.float32)
        valid = np.ones((32, 32), dtype=bool)
        tracemalloc.start()
        blender = StreamingBlender(grid, 8)
        for window in grid:
            for _ in blender.add(window, ones, valid):
                pass
        for _ in blender.finish():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        # Beside the buffers: the weighted copy of one window and the like.
        assert peaks[-1] < blender.nbytes + 4 * ones.nbytes
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize('kind', ['hann', 'linear', 'mean'])
@pytest.mark.parametrize('window', [(1, 1), (2, 3), (512, 512)])
def test_weights_are_positive_and_symmetric(kind, window):
    weights = blend_weights(kind, window)
    assert weights.shape == window
    assert weights.dtype == np.float32
    assert weights.min() > 0
    assert weights.max() <= 1 + 1e-6
    np.testing.assert_allclose(weights, weights[::-1, ::-1], rtol=1e-4)


def test_half_overlapping_hann_weights_sum_to_one():
    row = blend_weights('hann', (1, 32))[0]
    np.testing.assert_allclose(row[:16] + row[16:], 1, rtol=1e-6)


def test_unknown_weights_are_refused():
    with pytest.raises(ValueError, match=r"blend='cubic'.*hann"):
        blend_weights('cubic', (4, 4))


def test_windows_out_of_order_are_refused():
    grid = WindowGrid(8, 4, (4, 4))
    first, last = grid
    blender = StreamingBlender(grid, 1)
    ones, valid = np.ones((1, 4, 4)), np.ones((4, 4), dtype=bool)
    list(blender.add(last, ones, valid))
    with pytest.raises(ValueError, match='in the order of the grid'):
        list(blender.add(first, ones, valid))


def test_a_measured_window_cannot_be_skipped():
    grid = WindowGrid(4, 4, (4, 4))
    valid = np.eye(4, dtype=bool)
    with pytest.raises(ValueError, match='without scores'):
        list(StreamingBlender(grid, 1).add(next(iter(grid)), None, valid))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.data())
def test_regions_give_the_pixels_of_the_whole(height, width, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    grid = WindowGrid(height, width, (window, window), (overlap, overlap))
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, height, width)).astype(np.float32)
    valid = rng.random((height, width)) > 0.2

    def change(cut, place):
        return cut + np.float32(place.row * 0.1 + place.column * 0.3)

    whole, seen, _ = _blend(grid, scores, valid, change=change)
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    region = Region(top, data.draw(st.integers(top + 1, height)), left,
                    data.draw(st.integers(left + 1, width)))
    blender = StreamingBlender(grid, 2, region=region)
    found, mask = np.full_like(whole, np.nan), np.zeros_like(seen)

    def take(rows):
        place = (slice(rows.row, rows.row + len(rows.valid)),
                 slice(region.left, region.right))
        found[(slice(None), *place)] = rows.scores
        mask[place] = rows.valid

    for place in grid.touching(region):
        part = _cut(valid, place)
        cut = change(_cut(scores, place), place) if part.any() else None
        for rows in blender.add(place, cut, part):
            take(rows)
    for rows in blender.finish():
        take(rows)
    inside = (slice(region.top, region.bottom),
              slice(region.left, region.right))
    np.testing.assert_array_equal(mask[inside], seen[inside])
    np.testing.assert_array_equal(found[(slice(None), *inside)],
                                  whole[(slice(None), *inside)])
    outside = np.ones_like(seen)
    outside[inside] = False
    assert np.isnan(found[:, outside]).all()  # and nothing else
