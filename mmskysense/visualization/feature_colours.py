# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Dense features as colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def principal_colours(features: Tensor) -> np.ndarray:
    """First three principal components as red, green and blue.

    Maps are decomposed together, so equal colours mean similar features in
    all of them. Each component is stretched between its 2nd and 98th
    percentile.

    Args:
        features: (N, C, h, w), C of at least 3.

    Returns:
        uint8 (N, h, w, 3).

    Raises:
        ValueError: Fewer than three channels.
    """
    if features.shape[1] < 3:
        raise ValueError(f'features have {features.shape[1]} channels, three '
                         'components need at least 3')
    places = features.permute(0, 2, 3, 1).flatten(0, 2).double()
    centred = places - places.mean(0)
    # Of the covariance: C x C, however many places there are.
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    shown = (centred @ vectors[:, -3:].flip(1)).float()
    # The sign of a component is arbitrary: fix it for equal pictures.
    shown = shown * torch.where(shown.pow(3).sum(0) < 0, -1.0, 1.0)
    low, high = (torch.quantile(shown[:200_000], q, dim=0)
                 for q in (0.02, 0.98))
    unit = ((shown - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    n, _, h, w = features.shape
    return (255 * unit).round().to(torch.uint8).view(n, h, w, 3).numpy()


def resize_nearest(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge by repeating pixels: a token keeps its sharp square.

    Args:
        picture: (h, w) or (h, w, C).
        size: Height and width of the result.
    """
    rows = np.arange(size[0]) * picture.shape[0] // size[0]
    columns = np.arange(size[1]) * picture.shape[1] // size[1]
    return picture[rows[:, None], columns[None]]
