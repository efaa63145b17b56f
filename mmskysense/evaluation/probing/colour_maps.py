# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Dense features as colours, beside the images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmskysense.sensors import Sensor
from mmskysense.visualization.feature_colours import (
    principal_colours,
    resize_nearest,
)
from mmskysense.visualization.quick_look import stretch

from .feature_encoder import FeatureEncoder


@torch.inference_mode()
def write_colour_maps(encoder: FeatureEncoder,
                      batches: Iterable[Tensor],
                      sensor: Sensor,
                      out: str | os.PathLike,
                      device: str = 'cpu',
                      side: int = 192) -> Path:
    """Write a PNG with a column for each image: picture, features.

    Equal colours mean similar features in all images: the components are
    those of all maps together, see :func:`principal_colours`; pictures are
    stretched together too.

    Args:
        encoder: Its :meth:`FeatureEncoder.dense` is shown.
        batches: Normalised images (B, C, H, W) of one size; 2 to some tens.
        sensor: Of the images, for its display bands.
        out: PNG to write.
        device: Where the encoder runs.
        side: Height and width of a picture in pixels.

    Returns:
        Path of the PNG.
    """
    from PIL import Image
    images = torch.cat(list(batches))
    encoder.eval().to(device)
    colours = principal_colours(encoder.dense(images.to(device)).float()
                                .cpu())
    names = sensor.default_bands or sensor.band_names[:3]
    bands = [sensor.band_index(name) for name in names]
    pixels = images[:, bands].permute(0, 2, 3, 1)
    # Stretched together: water stays dark beside a town.
    pictures = stretch(pixels.flatten(0, 1).numpy(),
                       np.ones((pixels.shape[:2].numel(), pixels.shape[2]),
                               bool)).reshape(pixels.shape)
    columns = []
    for picture, colour in zip(pictures, colours, strict=True):
        columns.append(np.concatenate([
            resize_nearest(picture, (side, side)),
            resize_nearest(colour, (side, side))]))
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        Image.fromarray(np.concatenate(columns, axis=1)).save(
            aside, format='PNG')
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path
