# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The paper's fusion transformer as a neck for stock heads."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskysense.registry import MODELS

from ..fusion import MultiModalTemporalFusion
from .multi_sensor_fusion import MultiSensorFusionNeck


@MODELS.register_module()
class TemporalFusionNeck(BaseModule):
    """Fuse all sensors and dates into one pyramid.

    The deepest level goes through :class:`MultiModalTemporalFusion`, the
    fusion transformer of SkySense V2 (spec section 2), which knows the dates
    and masks what is missing; the shallower ones, of which the paper says
    nothing, through the means of :class:`MultiSensorFusionNeck` (ours).

    Args:
        in_channels: Channels of each level of the backbone, shallow to deep.
        sensors: Sensors that inputs may have.
        fusion: Options of :class:`MultiModalTemporalFusion` (``embed_dims``,
            ``depth``, ``num_heads``, ``drop_path_rate``, ``grid``, ...); the
            paper's size by default.
        init_cfg: mmengine's initialisation config.

    The result has ``in_channels`` channels at the shallower levels and
    ``embed_dims`` at the deepest.

    Example:
        >>> import torch
        >>> from mmskysense.models.necks import TemporalFusionNeck
        >>> neck = TemporalFusionNeck(
        ...     (8, 16), ('s2_l2a', 's1_grd'),
        ...     dict(embed_dims=32, depth=1, num_heads=2))
        >>> maps = neck(
        ...     {'s2_l2a': (torch.rand(2, 5, 8, 12, 12),
        ...                 torch.rand(2, 5, 16, 6, 6))},
        ...     dates={'s2_l2a': torch.randint(1, 366, (2, 5))})
        >>> [tuple(level.shape) for level in maps]
        [(2, 8, 12, 12), (2, 32, 6, 6)]
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 sensors: Sequence[str] = ('s2_l2a', 's1_grd'),
                 fusion: Mapping[str, Any] | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not in_channels:
            raise ValueError('in_channels is empty, expected the channels of '
                             'each level of the backbone')
        *shallow, deep = in_channels
        self.fusion = MultiModalTemporalFusion(
            deep, sensors=sensors, **(fusion or {}))
        self.shallow: nn.Module | None = None
        if shallow:
            self.shallow = MultiSensorFusionNeck(shallow, sensors=sensors)
        self.out_channels = (*shallow, self.fusion.embed_dims)

    def forward(
        self,
        inputs: Mapping[str, Sequence[Tensor]],
        dates: Mapping[str, Tensor] | None = None,
        valid_dates: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """Fuse.

        Args:
            inputs: Sensor -> tuple of maps (N, T, C_i, H_i, W_i); any
                non-empty subset of the sensors.
            dates: Sensor -> int64 (N, T), day of year, 0 = unknown.
            valid_dates: Sensor -> bool (N, T), True for dates that count.

        Returns:
            For each level (N, out_channels_i, H, W).

        Raises:
            ValueError: No sensor, an unknown one, or maps of another form.
        """
        deepest = {sensor: maps[-1] for sensor, maps in inputs.items()}
        fused = self.fusion(deepest, dates, valid_dates)
        assert isinstance(fused, Tensor)
        if self.shallow is None:
            return (fused, )
        shallow = self.shallow(
            {sensor: maps[:-1]
             for sensor, maps in inputs.items()}, valid_dates)
        return (*shallow, fused)
