# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Maps of whole images, for users of a pre-trained model."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

_UNKNOWN = (float('nan'), float('nan'))


def teacher_features(
    branch: nn.ModuleDict, inputs: Mapping[str, Tensor],
    data_samples: Sequence[BaseDataElement] | None
) -> dict[str, Any]:
    """Encode and fuse images.

    Args:
        branch: The teacher (or the student).
        inputs: Sensor -> float32 (N, T, C, H, W), normalised.
        data_samples: Optional, with the meta information ``dates`` (sensor
            -> (T,)), ``valid_pixels`` (sensor -> (T, H, W)) or
            ``valid_dates`` (sensor -> (T,)) and ``location`` (longitude,
            latitude in degrees); what is missing is unknown.

    Returns:
        ``sensors``: sensor -> (N, T, C, h, w); ``fused``: (N, D, h, w);
        ``measured``: bool (N, h, w), places with a measured pixel.
    """
    maps = {s: levels[-1] for s, levels in
            branch['backbone'](inputs).items()}
    dates: dict[str, Tensor] = {}
    valid: dict[str, Tensor] = {}
    # By pixel after by date: the finer one counts.
    for name, target in (('dates', dates), ('valid_dates', valid),
                         ('valid_pixels', valid)):
        if data_samples and name in data_samples[0].metainfo_keys():
            target.update({
                sensor: torch.stack([
                    torch.as_tensor(sample.metainfo[name][sensor])
                    for sample in data_samples
                ]).to(level.device)
                for sensor, level in maps.items()
            })
    fused, measured = branch['fusion'](maps, dates, valid,
                                       return_measured=True)
    if 'geo_context' in branch:
        locations = None
        if data_samples:
            locations = torch.tensor([
                tuple(sample.metainfo.get('location', _UNKNOWN))
                for sample in data_samples
            ], device=fused.device)
        fused = branch['geo_context'](fused, locations)
    return dict(sensors=maps, fused=fused, measured=measured)
