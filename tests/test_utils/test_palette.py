# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import pytest

from mmskysense.utils.palette import default_palette


@pytest.mark.parametrize('count', [1, 7, 30])
def test_made_up_colours_differ_and_are_bytes(count):
    palette = default_palette(count)
    assert len({tuple(colour) for colour in palette}) == count
    assert all(type(channel) is int and 0 <= channel <= 255
               for colour in palette for channel in colour)
    assert all(len(colour) == 3 for colour in palette)
