# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Global and local views of a whole batch at once, where the model is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmskysense.registry import TRANSFORMS
from mmskysense.structures import ViewBatch

from .batched_jitter import BatchedRadiometricJitter
from .batched_resample import resample_boxes
from .multi_crop_views import MultiCropViews

_TRIES = 10


@TRANSFORMS.register_module()
class BatchedMultiCropViews:
    """:class:`MultiCropViews` for a batch of whole tiles, on its device.

    Loading a small chip costs less than cutting and varying six views of it
    one by one; here a batch is cut by two matrix products. Meant for chips
    of up to some 256 pixels a side, which then travel to the device once
    and not as views. As ``views`` of :class:`MultiSensorDataPreprocessor`,
    behind ``PackPretrainInputs(whole_tile=True)`` (ours, as are all numbers).

    The same distribution of views as :class:`MultiCropViews`, but for: all
    dates are kept; labels are not cut; and a box is chosen among ten for
    its measured ground, without a second round on tiles that have hardly
    any (their views have no weight in the loss).

    Args:
        sizes: Sensor -> side in pixels of a global and of a local view.
        global_views: Number of global views.
        global_scale: Range of their area, as a fraction of the tile.
        local_views: Number of local views.
        local_scale: Range of their area.
        aspect_ratio: Range of width / height on the ground; in a long tile
            a large view is as long as it must be to have its area.
        flip_prob: Probability of each of the two flips.
        min_valid: The first of ten boxes in which some sensor measured this
            fraction is taken, else the best of them.
        patch_size: Side of a token in pixels.
        jitter: Options of :class:`BatchedRadiometricJitter`; None for none.

    Raises:
        ValueError: As :class:`MultiCropViews`.
    """

    def __init__(self,
                 sizes: Mapping[str, Sequence[int]],
                 global_views: int = 2,
                 global_scale: Sequence[float] = (0.32, 1.0),
                 local_views: int = 4,
                 local_scale: Sequence[float] = (0.05, 0.32),
                 aspect_ratio: Sequence[float] = (0.75, 4 / 3),
                 flip_prob: float = 0.5,
                 min_valid: float = 0.5,
                 patch_size: int = 4,
                 jitter: Mapping[str, Any] | None = None) -> None:
        # One set of checks for both.
        one = MultiCropViews(
            sizes, global_views, global_scale, local_views, local_scale,
            aspect_ratio, flip_prob, min_valid=min_valid,
            patch_size=patch_size)
        self.sizes, self.kinds = one.sizes, one.kinds
        self.aspect_ratio, self.flip_prob = one.aspect_ratio, flip_prob
        self.min_valid = min_valid
        self.jitter = None if jitter is None else \
            BatchedRadiometricJitter(**jitter)

    def __call__(self, tiles: ViewBatch) -> dict[str, ViewBatch | None]:
        """Cut the views.

        Args:
            tiles: One whole view of each of N tiles, in file units.

        Returns:
            ``global`` and ``local``, views in file units; None for no views.

        Raises:
            ValueError: A sensor is missing, or tiles have labels.
        """
        missing = sorted(set(self.sizes) - set(tiles.images))
        if missing:
            raise ValueError(
                f'BatchedMultiCropViews: sizes names {missing}, but tiles '
                f'were loaded with {sorted(tiles.images)}; use the same '
                'sensors in LoadMultiSensorTile')
        if tiles.labels is not None:
            raise ValueError(
                'BatchedMultiCropViews cuts no labels: use MultiCropViews in '
                "the pipeline for ITA, and leave the preprocessor's views out")
        result: dict[str, ViewBatch | None] = {}
        for kind, (key, count, scale) in enumerate(self.kinds):
            result[key.removesuffix('_views')] = None if not count else \
                self._cut(tiles, kind, count, scale)
        return result

    def random_boxes(self, shape: Sequence[int], scale: Sequence[float],
                     device: torch.device | str = 'cpu',
                     tile_ratio: float = 1.0) -> Tensor:
        """Boxes of random area, shape and place inside the tile.

        Args:
            shape: Of the result, but for its last dimension.
            scale: Range of their area, as a fraction of the tile.
            device: Where to draw.
            tile_ratio: Width / height of the tiles on the ground.

        Returns:
            float32 (``*shape``, 4), x0, y0, x1, y1.
        """

        def uniform(low: float, high: float) -> Tensor:
            return torch.rand(*shape, device=device) * (high - low) + low

        area = uniform(*scale)
        # Sides are fractions of the tile's.
        ratio = uniform(*(math.log(r) for r in self.aspect_ratio)
                        ).exp() / tile_ratio
        # A shape that does not fit is made less oblong, at the same area.
        ratio = ratio.maximum(area).minimum(1 / area)
        sides = torch.stack(((area * ratio).sqrt(), (area / ratio).sqrt()),
                            dim=-1).clamp(max=1.0)
        start = torch.rand(*shape, 2, device=device) * (1 - sides)
        return torch.cat((start, (start + sides).clamp(max=1.0)), dim=-1)

    def _cut(self, tiles: ViewBatch, kind: int, count: int,
             scale: Sequence[float]) -> ViewBatch:
        device = tiles.boxes.device
        height, width = next((
            tiles.valid[name].shape[-2:] for name in self.sizes
            if tiles.valid[name].numel()), (1, 1))
        boxes = self._choose(
            tiles, self.random_boxes((_TRIES, count, tiles.batch_size),
                                     scale, device, width / height))
        flips = torch.rand(count, tiles.batch_size, 2,
                           device=device) < self.flip_prob
        images, valid, dates = {}, {}, {}
        for name, sizes in self.sizes.items():
            whole, seen = tiles.images[name][0], tiles.valid[name][0]
            side = sizes[kind]
            if whole.shape[1]:
                cut, mask = resample_boxes(whole, seen, boxes, side, flips)
                if self.jitter is not None:
                    cut = self.jitter(name, cut, mask)
            else:  # the whole batch lacks the sensor
                shape = (count, tiles.batch_size, 0)
                cut = whole.new_zeros(*shape, whole.shape[2], side, side)
                mask = seen.new_zeros(*shape, side, side)
            images[name], valid[name] = cut, mask
            dates[name] = tiles.dates[name].expand(count, -1, -1)
        return ViewBatch(images, valid, dates, boxes, flips,
                         locations=tiles.locations)

    def _choose(self, tiles: ViewBatch, boxes: Tensor) -> Tensor:
        """Of boxes (tries, V, N, 4), one each that shows enough ground."""
        fraction = torch.stack([
            _measured_fraction(tiles.valid[name][0].any(1), boxes)
            for name in self.sizes]).amax(0)
        enough = fraction >= self.min_valid
        # The first that is enough; where none is, the best.
        order = torch.arange(len(boxes), 0, -1, device=boxes.device)
        score = torch.where(enough, order[:, None, None] + 1.0, fraction)
        chosen = score.argmax(0)
        return boxes.gather(0, chosen[None, ..., None].expand(
            1, -1, -1, 4))[0]

    def __repr__(self) -> str:
        return (f'BatchedMultiCropViews(sizes={self.sizes}, '
                f'kinds={self.kinds}, jitter={self.jitter})')


def _measured_fraction(seen: Tensor, boxes: Tensor) -> Tensor:
    """Measured fraction of boxes, to whole pixels.

    Args:
        seen: bool (N, H, W).
        boxes: (tries, V, N, 4).

    Returns:
        float32 (tries, V, N).
    """
    number, height, width = seen.shape
    # Sums over all pixels above and to the left.
    total = seen.new_zeros(number, height + 1, width + 1, dtype=torch.float32)
    total[:, 1:, 1:] = seen.float().cumsum(1).cumsum(2)
    scale = boxes.new_tensor([width, height])
    low = (boxes[..., :2] * scale).floor().long()
    high = (boxes[..., 2:] * scale).ceil().long()
    tile = torch.arange(number, device=boxes.device)

    def upto(x: Tensor, y: Tensor) -> Tensor:
        return total[tile, y.clamp(0, height), x.clamp(0, width)]

    inside = (upto(high[..., 0], high[..., 1]) -
              upto(low[..., 0], high[..., 1]) -
              upto(high[..., 0], low[..., 1]) +
              upto(low[..., 0], low[..., 1]))
    return inside / (high - low).clamp(min=1).prod(-1)
