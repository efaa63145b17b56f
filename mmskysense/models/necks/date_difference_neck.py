# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Two dates of one sensor to one pyramid: siamese change detection."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmskysense.registry import MODELS

#: How the maps of two dates become one, and how many times wider it is.
COMPARISONS = {'difference': 1, 'concatenation': 2, 'all': 3}


@MODELS.register_module()
class DateDifferenceNeck(BaseModule):
    """Compare the maps of an earlier and a later image, level by level.

    Makes a siamese change detector of a stock segmentor: the encoder sees
    both dates with the same weights (:class:`SkySenseV2` encodes each date
    as an image of its own), this neck compares, any decode head of mmseg
    says where something changed. The paper says only "siamese, BIT-style"
    and "U-Net-style" (spec section 4); the comparison is ours.

    Args:
        in_channels: Channels of each level of the backbone.
        comparison: ``'difference'``: absolute difference, the same for both
            orders of the dates; ``'concatenation'``: earlier and later side
            by side; ``'all'``: both, and the difference.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: Channels of each level of the result, what heads need.

    Raises:
        ValueError: An unknown comparison, or no level.

    Example:
        >>> import torch
        >>> from mmskysense.models.necks import DateDifferenceNeck
        >>> neck = DateDifferenceNeck((8, 16))
        >>> maps = neck({'hr_rgb': (torch.rand(3, 2, 8, 12, 12),
        ...                         torch.rand(3, 2, 16, 6, 6))})
        >>> [tuple(level.shape) for level in maps]
        [(3, 8, 12, 12), (3, 16, 6, 6)]
    """

    def __init__(self, in_channels: Sequence[int],
                 comparison: str = 'difference',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if comparison not in COMPARISONS:
            raise ValueError(f"comparison='{comparison}': expected one of "
                             f'{tuple(COMPARISONS)}')
        if not in_channels:
            raise ValueError('in_channels is empty, expected the channels of '
                             'each level of the backbone')
        self.in_channels = tuple(in_channels)
        self.comparison = comparison
        self.out_channels = tuple(COMPARISONS[comparison] * width
                                  for width in self.in_channels)

    def forward(self, inputs: Mapping[str, Sequence[Tensor]],
                dates: Mapping[str, Tensor] | None = None,
                valid_dates: Mapping[str, Tensor] | None = None
                ) -> tuple[Tensor, ...]:
        """Compare.

        Args:
            inputs: One sensor -> tuple of maps (N, 2, C_i, H_i, W_i), the
                earlier date first.
            dates: Not used; the order of the dates is that of the maps.
            valid_dates: Not used.

        Returns:
            For each level (N, out_channels_i, H_i, W_i).

        Raises:
            ValueError: Not pairs of images of one sensor.
        """
        shapes = {sensor: tuple(maps[0].shape)
                  for sensor, maps in inputs.items()}
        if len(inputs) != 1 or any(
                len(shape) != 5 or shape[1] != 2
                for shape in shapes.values()):
            raise ValueError(
                'DateDifferenceNeck: expected maps (N, 2, C, H, W) of two '
                f'dates of one sensor, found {shapes}')
        maps, = inputs.values()
        levels = []
        for level in maps:
            before, after = level.unbind(1)
            parts = {
                'difference': [(after - before).abs()],
                'concatenation': [before, after],
                'all': [before, after, (after - before).abs()],
            }[self.comparison]
            levels.append(torch.cat(parts, dim=1))
        return tuple(levels)
