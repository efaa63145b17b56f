# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.raster import Region, WindowGrid, window_offsets


@st.composite
def grids(draw):
    window = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    overlap = tuple(draw(st.integers(0, side - 1)) for side in window)
    return WindowGrid(
        draw(st.integers(1, 40)), draw(st.integers(1, 40)), window, overlap)


@settings(max_examples=100, deadline=None)
@given(grids())
def test_windows_cover_every_pixel_and_stay_inside(grid):
    covered = np.zeros((grid.height, grid.width), dtype=int)
    for window in grid:
        assert (window.height, window.width) == grid.window
        for start, size, length in ((window.row, window.height, grid.height),
                                    (window.column, window.width,
                                     grid.width)):
            assert start >= 0
            assert start + size <= length or (start == 0 and size > length)
        covered[window.row:window.row + window.height,
                window.column:window.column + window.width] += 1
    assert covered.min() >= 1


@settings(max_examples=100, deadline=None)
@given(grids())
def test_windows_come_row_by_row_and_are_counted(grid):
    places = [(window.row, window.column) for window in grid]
    assert places == sorted(set(places))
    assert len(places) == len(grid)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_neighbours_share_at_least_the_overlap(length, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    offsets = window_offsets(length, window, overlap)
    steps = np.diff(offsets)
    assert (steps >= 1).all()
    assert (steps <= window - overlap).all()
    # Only the last window may be shifted.
    assert (steps[:-1] == window - overlap).all()


@pytest.mark.parametrize('length,offsets', [
    (1, (0, )), (7, (0, )), (8, (0, )), (9, (0, 1)), (12, (0, 4)),
    (13, (0, 4, 5)), (16, (0, 4, 8))])
def test_edge_windows_are_shifted_inwards(length, offsets):
    assert window_offsets(length, 8, 4) == offsets


@pytest.mark.parametrize('height,window,overlap,words', [
    (10, 4, 4, 'expected 0 to 3'), (10, 4, -1, 'expected 0 to 3'),
    (0, 4, 0, 'at least 1 pixel'), (10, 0, 0, 'at least 1 pixel')])
def test_bad_sizes_are_refused(height, window, overlap, words):
    with pytest.raises(ValueError, match=words):
        WindowGrid(height, 10, (window, 4), (overlap, 0))


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20),
       st.data())
def test_regions_cover_each_pixel_once_and_know_their_windows(
        height, width, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    grid = WindowGrid(height, width, (window, window), (overlap, overlap))
    regions = grid.regions(data.draw(st.integers(1, 5)),
                           data.draw(st.integers(1, 5)))
    seen = np.zeros((height, width), int)
    everything = list(grid)
    for region in regions:
        seen[region.top:region.bottom, region.left:region.right] += 1
        touching = [
            w for w in everything
            if w.row < region.bottom and w.row + window > region.top
            and w.column < region.right and w.column + window > region.left]
        sequence = grid.touching(region)
        assert list(sequence) == touching
        assert sequence[-1] == touching[-1]
        row = data.draw(st.integers(region.top, region.bottom - 1))
        first = sequence.first_reaching(row)
        assert touching[first].row + window > row
        assert all(w.row + window <= row for w in touching[:first])
    assert (seen == 1).all()


def test_windows_by_number_and_refusals():
    windows = WindowGrid(8, 8, (4, 4)).touching(Region(0, 8, 0, 8))
    assert windows[1:3] == [windows[1], windows[2]]
    with pytest.raises(IndexError, match='window 4 of 4'):
        windows[4]
    with pytest.raises(ValueError, match='at least 1 part'):
        WindowGrid(8, 8, (4, 4)).regions(0)
