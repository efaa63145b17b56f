# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Corners of oriented boxes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmskysense.datasets.conversion.polygons import (
    polygon_area,
    share_inside,
    untangle,
)


def box(x, y, width, height, angle):
    """Corners of a rectangle around (x, y)."""
    along = (math.cos(angle) * width / 2, math.sin(angle) * width / 2)
    across = (-math.sin(angle) * height / 2, math.cos(angle) * height / 2)
    return [value for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            for value in (x + i * along[0] + j * across[0],
                          y + i * along[1] + j * across[1])]


def test_untangling_keeps_a_polygon_that_does_not_cross():
    turned = [5, 0, 10, 5, 5, 10, 0, 5]
    assert untangle(turned) == turned


def test_a_bow_tie_gets_its_area_back():
    tie = [0, 0, 4, 0, 0, 2, 4, 2]
    assert polygon_area(tie) == 0
    assert polygon_area(untangle(tie)) == 8


@pytest.mark.parametrize('corners, share', [
    ([2, 2, 6, 2, 6, 6, 2, 6], 1.0),
    ([-2, 2, 2, 2, 2, 6, -2, 6], 0.5),
    ([8, 8, 12, 8, 12, 12, 8, 12], 0.25),
    ([20, 0, 30, 0, 30, 10, 20, 10], 0.0),
    # A diamond around a corner of the tile.
    ([10, 6, 14, 10, 10, 14, 6, 10], 0.25)])
def test_share(corners, share):
    assert share_inside(corners, 0, 0, 10, 10) == pytest.approx(share)


@given(st.floats(5, 95), st.floats(5, 95), st.floats(2, 60),
       st.floats(2, 60), st.floats(0, math.pi), st.integers(1, 99),
       st.integers(0, 9000))
def test_shares_of_two_halves_of_the_plane_sum_to_one(
        x, y, width, height, angle, cut, far):
    corners = [value + far for value in box(x, y, width, height, angle)]
    shares = [share_inside(corners, far - 100, far - 100, far + cut,
                           far + 200),
              share_inside(corners, far + cut, far - 100, far + 200,
                           far + 200)]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
