# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Pictures side by side: image, truth, prediction, error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_IGNORED = (235, 235, 235)
_WRONG = (214, 40, 57)


def colour_classes(classes: np.ndarray,
                   palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Class ids to colours.

    Args:
        classes: Integers (H, W); ids beyond the palette, such as 255, are
            light grey.
        palette: R, G, B of each class, 0 to 255.

    Returns:
        uint8 (H, W, 3).
    """
    table = np.empty((256, 3), dtype=np.uint8)
    table[:] = _IGNORED
    table[:len(palette)] = np.asarray(palette, dtype=np.uint8)
    return table[classes.astype(np.uint8)]


def error_map(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray,
              ignore: int = 255) -> np.ndarray:
    """Wrong pixels in red over the picture in grey.

    Args:
        image: uint8 (H, W, 3).
        truth: Integers (H, W).
        prediction: Integers (H, W).
        ignore: Truth that is neither right nor wrong.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: Shapes differ.
    """
    if not image.shape[:2] == truth.shape == prediction.shape:
        raise ValueError(f'image {image.shape[:2]}, truth {truth.shape} and '
                         f'prediction {prediction.shape} must be equal')
    grey = image.mean(axis=2, keepdims=True) * 0.6 + 90
    shown = np.repeat(grey, 3, axis=2).clip(0, 255).astype(np.uint8)
    shown[(truth != prediction) & (truth != ignore)] = _WRONG
    return shown


def overlay(image: np.ndarray, colours: np.ndarray,
            strength: float = 0.5) -> np.ndarray:
    """Blend colours over a picture.

    Args:
        image: uint8 (H, W, 3).
        colours: uint8 (H, W, 3).
        strength: 0 (picture) to 1 (colours).

    Returns:
        uint8 (H, W, 3).
    """
    mixed = (1 - strength) * image.astype(np.float32) + strength * colours
    return mixed.round().clip(0, 255).astype(np.uint8)
