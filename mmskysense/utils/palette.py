# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Colours of classes that have none."""

import colorsys


def default_palette(count: int) -> list[list[int]]:
    """Well separated colours for classes without a palette (ours).

    Args:
        count: Number of classes.

    Returns:
        Red, green and blue (0 to 255) of each class.
    """
    colours = []
    for index in range(count):
        # Steps of the golden ratio keep neighbours apart for any count.
        hue = (index * 0.618034) % 1.0
        value = (0.95, 0.75, 0.55)[index % 3]
        colours.append([
            round(255 * channel)
            for channel in colorsys.hsv_to_rgb(hue, 0.65, value)
        ])
    return colours
