# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The demonstration in one picture: scene, predicted map, truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def save_comparison(path: Path, image: np.ndarray, found: np.ndarray,
                    truth: np.ndarray, names: Sequence[str],
                    palette: Sequence[Sequence[int]]) -> None:
    """Draw three pictures side by side with the legend below.

    Args:
        path: PNG to write, aside first.
        image: uint8 (H, W, 3).
        found: Predicted class colours, uint8 (H, W, 3).
        truth: True class colours, uint8 (H, W, 3).
        names: Of the classes.
        palette: R, G, B of each class, 0 to 255.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(12.8, 4.7), dpi=100, layout='constrained')
    titles = ('scene', 'predicted map', 'truth')
    for axes, picture, title in zip(figure.subplots(1, 3),
                                    (image, found, truth), titles,
                                    strict=True):
        axes.imshow(picture, interpolation='antialiased')
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
    figure.legend(
        handles=[Patch(color=np.asarray(colour) / 255, label=name)
                 for name, colour in zip(names, palette, strict=True)],
        loc='outside lower center', ncols=len(names), frameon=False,
        fontsize=10)
    aside = path.with_suffix('.part.png')
    figure.savefig(aside, facecolor='white')
    aside.replace(path)
