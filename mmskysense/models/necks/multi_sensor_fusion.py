# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Several sensors and dates to one pyramid, for stock heads.

Ours, and deliberately plain: means over dates and sensors. It lets a stock
segmentor take several sensors today; the paper's fusion is a transformer
over dates and sensors (spec section 2).
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskysense.registry import MODELS
from mmskysense.sensors import get_sensors


@MODELS.register_module()
class MultiSensorFusionNeck(BaseModule):
    """Merge the maps of all sensors and dates, level by level.

    At each level: mean over a sensor's dates, a linear projection of the
    sensor's own, bilinear resampling to the finest grid among the sensors
    that are present, mean over those sensors, group norm. Any non-empty
    subset of ``sensors`` works, in training and in testing, and always gives
    outputs of the same scale.

    Args:
        in_channels: Channels of each level of the backbone.
        out_channels: Channels of each level of the result, one number for
            all; default: as ``in_channels``.
        sensors: Sensors that inputs may have.
        init_cfg: mmengine's initialisation config.

    Example:
        >>> import torch
        >>> from mmskysense.models.necks import MultiSensorFusionNeck
        >>> neck = MultiSensorFusionNeck((8, 16), 8, ('s2_l2a', 's1_grd'))
        >>> maps = neck({
        ...     's2_l2a': (torch.rand(2, 5, 8, 12, 12),
        ...                torch.rand(2, 5, 16, 6, 6)),
        ...     's1_grd': (torch.rand(2, 3, 8, 6, 6),
        ...                torch.rand(2, 3, 16, 6, 6))})
        >>> [tuple(level.shape) for level in maps]
        [(2, 8, 12, 12), (2, 8, 6, 6)]
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 out_channels: int | None = None,
                 sensors: Sequence[str] = ('s2_l2a', 's1_grd'),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not in_channels:
            raise ValueError('in_channels is empty, expected the channels of '
                             'each level of the backbone')
        self.in_channels = tuple(in_channels)
        self.sensors = tuple(sensor.name for sensor in get_sensors(sensors))
        self.out_channels = tuple(out_channels or width
                                  for width in self.in_channels)
        self.projections = nn.ModuleDict({
            sensor: nn.ModuleList(
                nn.Conv2d(width, out, 1) for width, out in zip(
                    self.in_channels, self.out_channels, strict=True))
            for sensor in self.sensors
        })
        self.norms = nn.ModuleList(
            nn.GroupNorm(1, out) for out in self.out_channels)

    def forward(
        self,
        inputs: Mapping[str, Sequence[Tensor]],
        valid_dates: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """Merge sensors and dates.

        Args:
            inputs: Sensor -> tuple of maps (N, T, C_i, H_i, W_i), as the
                backbone gives them for dict inputs; T and the grids may
                differ between sensors.
            valid_dates: Sensor -> bool (N, T), True for dates that count.
                Stock segmentors do not pass it: then all dates count, those
                that only pad a batch included, so give the loader a fixed
                ``num_dates``. A sample none of whose dates count gets no
                contribution of that sensor.

        Returns:
            For each level (N, out_channels, H, W), on the finest grid of
            the level.

        Raises:
            ValueError: No sensor, an unknown one, or maps of another form.
        """
        self._check(inputs)
        present = [sensor for sensor in self.sensors if sensor in inputs]
        weights = {
            sensor: self._weights(sensor, inputs[sensor][0], valid_dates)
            for sensor in present
        }
        levels = []
        for index, norm in enumerate(self.norms):
            weighted, shares = [], []
            height, width = max(
                (tuple(inputs[sensor][index].shape[-2:])
                 for sensor in present), key=lambda size: size[0] * size[1])
            for sensor in present:
                weight = weights[sensor]
                counts = weight.sum(1).clamp(min=1)
                level = torch.einsum('nt,ntchw->nchw',
                                     weight.to(inputs[sensor][index]),
                                     inputs[sensor][index])
                level = level / counts[:, None, None, None].to(level)
                level = self.projections[sensor][index](level)
                if level.shape[-2:] != (height, width):
                    level = F.interpolate(
                        level, (height, width), mode='bilinear',
                        align_corners=False)
                share = weight.amax(1)[:, None, None, None].to(level)
                weighted.append(level * share)
                shares.append(share)
            total = torch.stack(shares).sum(0).clamp(min=1)
            merged = torch.stack(weighted).sum(0) / total
            merged = self._keep_in_graph(merged, present, index)
            levels.append(norm(merged))
        return tuple(levels)

    def _weights(self, sensor: str, level: Tensor,
                 valid_dates: Mapping[str, Tensor] | None) -> Tensor:
        """1.0 for dates that count, (N, T)."""
        if valid_dates is None or sensor not in valid_dates:
            return level.new_ones(level.shape[:2])
        valid = valid_dates[sensor]
        if valid.shape != level.shape[:2]:
            raise ValueError(
                f"valid_dates of sensor '{sensor}' is {tuple(valid.shape)}, "
                f'expected (N, T) = {tuple(level.shape[:2])}')
        return valid.to(level)

    def _keep_in_graph(self, merged: Tensor, present: Sequence[str],
                       index: int) -> Tensor:
        """Connect absent sensors' projections to the loss with weight 0.

        Without it a batch that lacks a sensor leaves parameters without a
        gradient, which DistributedDataParallel does not allow.
        """
        if self.training and torch.is_grad_enabled():
            for sensor in self.sensors:
                if sensor not in present:
                    for parameter in self.projections[sensor][
                            index].parameters():
                        merged = merged + 0.0 * parameter.sum()
        return merged

    def _check(self, inputs: Mapping[str, Sequence[Tensor]]) -> None:
        if not isinstance(inputs, Mapping) or not inputs:
            raise ValueError(
                'MultiSensorFusionNeck: expected a dict sensor -> maps, found '
                f'{type(inputs).__name__}; feed the backbone a dict of '
                'sensors (PackMultiSensorSegInputs does)')
        for sensor, levels in inputs.items():
            if sensor not in self.sensors:
                raise ValueError(
                    f"inputs hold sensor '{sensor}', the neck was built for "
                    f'sensors={self.sensors}')
            if len(levels) != len(self.in_channels) or any(
                    level.dim() != 5 or level.shape[2] != width for level,
                    width in zip(levels, self.in_channels, strict=True)):
                raise ValueError(
                    f"sensor '{sensor}': expected {len(self.in_channels)} "
                    f'maps (N, T, C, H, W) with C = {self.in_channels}, found '
                    f'{[tuple(level.shape) for level in levels]}; in_channels '
                    'of the neck must be out_channels of the backbone')
