# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Encode and fuse series: what segmentors and classifiers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def present_sensors(inputs: Mapping[str, Tensor],
                    model: str) -> dict[str, Tensor]:
    """Sensors of which the batch has an image.

    Args:
        inputs: Sensor -> (N, T, C, H, W); T may be 0.
        model: Whose inputs they are, for the message.

    Raises:
        ValueError: No sensor has an image.
    """
    present = {
        sensor: images
        for sensor, images in inputs.items() if images.numel()
    }
    if not present:
        raise ValueError(f'{model}: expected images of at least one sensor, '
                         'found none in the batch')
    return present


def fused_maps(neck: nn.Module, maps: Mapping[str, Sequence[Tensor]],
               inputs: Mapping[str, Tensor],
               metas: Sequence[Mapping[str, Any]] | None) -> Any:
    """Call a neck with the dates that data samples have.

    Args:
        neck: Takes ``maps``, ``dates`` and ``valid_dates``.
        maps: Sensor -> maps (N, T, C_i, H_i, W_i) of the backbone.
        inputs: Sensor -> (N, T, C, H, W), what the backbone saw.
        metas: Meta information of the N samples, as
            :class:`MultiSensorDataPreprocessor` leaves it.

    Returns:
        What the neck returns.
    """
    return neck(
        maps,
        dates=_stacked(metas, 'dates', inputs),
        valid_dates=_stacked(metas, 'valid_dates', inputs))


def _stacked(metas: Sequence[Mapping[str, Any]] | None, key: str,
             inputs: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Sensor -> (N, T) of what the samples have, None if they have none."""
    if not metas or any(key not in meta for meta in metas):
        return None
    return {
        sensor: torch.stack([meta[key][sensor]
                             for meta in metas]).to(images.device)
        for sensor, images in inputs.items()
    }
