# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The same ground in two views, by hand and by property."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.models.pretrain.view_geometry import (
    ground_to_view,
    map_extent,
    place_centres,
    same_ground,
    sampling_grid,
    to_grid,
    view_to_ground,
)

fractions = st.integers(0, 40).map(lambda i: i / 40)
booleans = st.booleans()


@st.composite
def views(draw):
    """A box with sides of at least 0.1, and two flips."""
    x0, y0 = draw(fractions) * 0.9, draw(fractions) * 0.9
    width = 0.1 + draw(fractions) * (0.9 - x0)
    height = 0.1 + draw(fractions) * (0.9 - y0)
    return (torch.tensor([x0, y0, x0 + width, y0 + height]),
            torch.tensor([draw(booleans), draw(booleans)]))


def ground_map(box, flip, size, extent=(1.0, 1.0)):
    """A map (2, h, w) that stores the ground (x, y) of its places.

    Written from the definition: cut the box, then turn the image around.
    """
    height, width = size
    x = box[0] + (box[2] - box[0]) * (torch.arange(width) + 0.5) \
        / width * extent[0]
    y = box[1] + (box[3] - box[1]) * (torch.arange(height) + 0.5) \
        / height * extent[1]
    assert extent == (1.0, 1.0) or not flip.any()
    ground = torch.stack((x.expand(height, width),
                          y[:, None].expand(height, width)))
    if flip[0]:
        ground = ground.flip(2)
    if flip[1]:
        ground = ground.flip(1)
    return ground


@given(views(), views(), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_a_map_of_the_ground_gives_the_places_own_ground(a, b, h, w):
    grid, inside = sampling_grid(*a, *b, size=(h, w))
    # So fine that its outer half places do not matter much.
    other = ground_map(*b, (64, 64))
    found = F.grid_sample(other[None], grid[None], padding_mode='border',
                          align_corners=False)[0]
    own = ground_map(*a, (h, w))
    # The border's half place: box / 128; boxes are at most 1.
    torch.testing.assert_close(found[:, inside], own[:, inside], rtol=0,
                               atol=1 / 127)
    box = b[0]
    clear = ((own[0] > box[0] + 1e-4) & (own[0] < box[2] - 1e-4)
             & (own[1] > box[1] + 1e-4) & (own[1] < box[3] - 1e-4))
    outside = ((own[0] < box[0] - 1e-4) | (own[0] > box[2] + 1e-4)
               | (own[1] < box[1] - 1e-4) | (own[1] > box[3] + 1e-4))
    assert inside[clear].all() and not inside[outside].any()


@given(views(), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_a_view_finds_itself_exactly(view, h, w):
    grid, inside = sampling_grid(*view, *view, size=(h, w))
    assert inside.all()
    values = torch.rand(1, 1, h, w)
    found = F.grid_sample(values, grid[None], padding_mode='border',
                          align_corners=False)
    torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-4)


@given(views(), views())
@settings(max_examples=50, deadline=None)
def test_there_and_back(a, b):
    points = torch.rand(7, 2)
    there, _ = same_ground(points, *a, *b)
    back, _ = same_ground(there, *b, *a)
    torch.testing.assert_close(back, points, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        ground_to_view(view_to_ground(points, *a), *a), points, rtol=1e-4,
        atol=1e-5)


def test_by_hand():
    # A: the left half, flipped horizontally. B: the whole tile, flipped
    # vertically.
    a = (torch.tensor([0.0, 0, 0.5, 1]), torch.tensor([True, False]))
    b = (torch.tensor([0.0, 0, 1, 1]), torch.tensor([False, True]))
    # A's upper left corner shows the tile's (0.5, 0), which B, turned upside
    # down, has in the middle of its lower side.
    found, inside = same_ground(
        torch.tensor([[0.0, 0], [1, 0], [0.5, 0.25]]), *a, *b)
    torch.testing.assert_close(
        found, torch.tensor([[0.5, 1.0], [0, 1], [0.25, 0.75]]))
    assert inside.all()
    # The other way round the right half is outside.
    _, inside = same_ground(torch.tensor([[0.25, 0.5], [0.75, 0.5]]), *b, *a)
    assert inside.tolist() == [True, False]


def test_views_and_tiles_in_one_call():
    boxes = torch.tensor([[0.0, 0, 0.5, 0.5], [0.25, 0.25, 1, 1]])
    boxes = boxes.expand(3, 2, 4)
    flips = torch.rand(3, 2, 2) < 0.5
    other, other_flips = boxes.flip(1), torch.rand(3, 2, 2) < 0.5
    grid, inside = sampling_grid(boxes, flips, other, other_flips, (4, 5))
    assert grid.shape == (3, 2, 4, 5, 2) and inside.shape == (3, 2, 4, 5)
    for view in range(3):
        for tile in range(2):
            alone, within = sampling_grid(
                boxes[view, tile], flips[view, tile], other[view, tile],
                other_flips[view, tile], (4, 5))
            torch.testing.assert_close(grid[view, tile], alone)
            assert torch.equal(inside[view, tile], within)


@pytest.mark.parametrize('size, extent, expected', [
    ((1, 2), (1.0, 1.0), [[[0.25, 0.5], [0.75, 0.5]]]),
    # 6 pixels in places of 4: the second place has only two of them.
    ((1, 2), (8 / 6, 1.0), [[[1 / 3, 0.5], [5 / 6, 0.5]]]),
    # A view smaller than a place.
    ((1, 1), (2.0, 4.0), [[[0.5, 0.5]]])])
def test_place_centres(size, extent, expected):
    torch.testing.assert_close(place_centres(size, extent),
                               torch.tensor(expected))


def test_maps_that_reach_beyond_their_view():
    extent = map_extent((2, 2), 4, (6, 8))
    assert extent == (1.0, 8 / 6)
    # Pixel row 5 of 6 (fraction 11/12) lies in row 1 of the map, 1.5 pixels
    # of 4 into it: 5.5 / 8 of the map.
    grid = to_grid(torch.tensor([0.5, 11 / 12]), extent)
    torch.testing.assert_close(grid, torch.tensor([0.0, 2 * 5.5 / 8 - 1]))
    box, flip = torch.tensor([0.2, 0.2, 0.8, 0.8]), torch.zeros(2).bool()
    fine = ground_map(box, flip, (40, 48), (1.0, 8 / 6))
    grid, _ = sampling_grid(box, flip, box, flip, (6, 6), (1.0, 1.0),
                            (1.0, 8 / 6))
    found = F.grid_sample(fine[None], grid[None], align_corners=False)[0]
    torch.testing.assert_close(found, ground_map(box, flip, (6, 6)))
