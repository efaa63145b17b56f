# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Views through encoder and fusion: what every term of the loss looks at."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmskysense.structures import ViewBatch

from ..fusion.masked_resize import place_validity
from .masked_mean import masked_mean
from .source_contrast import FUSED
from .view_geometry import WHOLE, Extent, map_extent


@dataclass(frozen=True)
class SourceMaps:
    """Maps of one source (a sensor, or the fused one) in V views of N tiles.

    Args:
        maps: (V, N, T, C, h, w); T = 1 for the fused map.
        measured: bool (V, N, T, h, w), places with a measured pixel.
        dates: int64 (V, N, T), day of year, 0 = unknown; all 0 for the fused
            map.
        extent: How far the map reaches, as fractions (x, y) of the view.
    """

    maps: Tensor
    measured: Tensor
    dates: Tensor
    extent: Extent = WHOLE


@dataclass(frozen=True)
class EncodedViews:
    """What a branch makes of views of one kind.

    Args:
        sources: Source (``'fused'`` or a sensor that the batch has) -> maps.
        pooled: Source -> features (V, N, C).
        seen: Source -> bool (V, N), whether it measured anything;
            ``'fused'``: whether any sensor did.
        boxes: float32 (V, N, 4), see :class:`ViewBatch`.
        flips: bool (V, N, 2).
        without_context: Fused maps (V * N, D, h, w) before geo-context, or
            None without it.
    """

    sources: dict[str, SourceMaps]
    pooled: dict[str, Tensor]
    seen: dict[str, Tensor]
    boxes: Tensor
    flips: Tensor
    without_context: Tensor | None = None

    @property
    def fused(self) -> Tensor:
        """Fused maps (V * N, D, h, w)."""
        return self.sources[FUSED].maps[:, :, 0].flatten(0, 1)

    @property
    def fused_measured(self) -> Tensor:
        """Where any sensor measured anything, bool (V * N, h, w)."""
        return self.sources[FUSED].measured[:, :, 0].flatten(0, 1)


def encode_views(branch: nn.ModuleDict, views: ViewBatch) -> EncodedViews:
    """All views of one kind through encoder and fusion, at once.

    Args:
        branch: ``student`` or ``teacher``, with ``backbone``, ``fusion``
            and, or not, ``geo_context``.
        views: V views of N tiles.
    """
    shape = (views.num_views, views.batch_size)
    images = {s: x.flatten(0, 1) for s, x in views.images.items()
              if x.numel()}
    valid = {s: views.valid[s].flatten(0, 1) for s in images}
    dates = {s: views.dates[s].flatten(0, 1) for s in images}
    backbone, fusion = branch['backbone'], branch['fusion']
    maps = {s: levels[-1] for s, levels in backbone(images).items()}
    _check_grids(backbone, maps, images)
    fused, measured = fusion(maps, dates, valid, return_measured=True)
    without_context = None
    if 'geo_context' in branch:
        without_context = fused
        locations = views.locations
        fused = branch['geo_context'](
            fused, None if locations is None else
            locations.repeat(views.num_views, 1))

    sources, pooled, seen = {}, {}, {}
    for sensor, level in maps.items():
        size = tuple(level.shape[-2:])
        places = place_validity(valid[sensor].flatten(0, 1), size).unflatten(
            0, level.shape[:2])
        mean, any_valid = masked_mean(level, places)
        pooled[sensor] = mean.unflatten(0, shape)
        seen[sensor] = any_valid.unflatten(0, shape)
        sources[sensor] = SourceMaps(
            level.unflatten(0, shape), places.unflatten(0, shape),
            views.dates[sensor],
            map_extent(size, backbone.stride(3, sensor),
                       tuple(images[sensor].shape[-2:])))
    pooled[FUSED] = masked_mean(fused[:, None], measured[:, None])[
        0].unflatten(0, shape)
    seen[FUSED] = torch.stack(list(seen.values())).any(0)
    sources[FUSED] = SourceMaps(
        fused.unflatten(0, shape)[:, :, None],
        measured.unflatten(0, shape)[:, :, None],
        torch.zeros(*shape, 1, dtype=torch.int64, device=fused.device),
        sources[fusion.grid_sensor(maps)].extent)
    return EncodedViews(sources, pooled, seen, views.boxes, views.flips,
                        without_context)


def _check_grids(backbone: nn.Module, maps: Mapping[str, Tensor],
                 images: Mapping[str, Tensor]) -> None:
    """Refuse sensors whose maps do not end on the same ground.

    The fusion lays them on one grid edge to edge: with sides that are no
    multiple of the stride, places would show other ground than they say. A
    single place shows the whole view at any stride.
    """
    extents = {}
    for sensor, level in maps.items():
        height, width = level.shape[-2:]
        x, y = map_extent((height, width), backbone.stride(3, sensor),
                          tuple(images[sensor].shape[-2:]))
        extents[sensor] = (1.0 if width == 1 else x,
                           1.0 if height == 1 else y)
    if len(set(extents.values())) > 1:
        raise ValueError('views of several sensors must end where their maps '
                         'do: ' + ', '.join(
                             f"'{s}' has {images[s].shape[-2]} x "
                             f'{images[s].shape[-1]} pixels at a stride of '
                             f'{backbone.stride(3, s)}' for s in maps)
                         + "; make the views' sizes multiples of the strides")
