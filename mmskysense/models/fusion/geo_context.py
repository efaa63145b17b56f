# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Geo-context: what places of a region look like, learned along the way."""

import math

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskysense.registry import MODELS
from mmskysense.utils.part_checkpoint import start_from_checkpoint

from ..across_processes import gather_over_processes

_TINY = 1e-6


@MODELS.register_module()
class GeoContextPrototypes(BaseModule):
    """Prototypes of each region of the earth, for the fused map to look at.

    Each region has prototypes of fused features; a place attends to those of
    its tile's region, and what it gathers is concatenated to its feature
    (SkySense V1's geo-context, of which the spec, section 2, keeps: 4096
    regions of 100 prototypes, region from longitude and latitude, Sinkhorn
    assignment, update by moving average without gradient, cross-attention
    from F_fus, concatenation). Ours: regions of equal area (equal steps of
    longitude and of the sine of latitude), a linear layer back to
    ``embed_dims`` that starts by passing the fused map on unchanged, all
    numbers but those two, and this: a tile without a known location has no
    region; its places get one learned vector in the place of the context and
    move no prototype.

    The prototypes are a buffer: the student's move once in each training
    pass (:meth:`update`), the teacher's are a copy of it.

    Memory: regions * prototypes * embed_dims numbers in each branch; 4096 *
    100 * 1024 in float32 are 1.7 GB.

    Args:
        embed_dims: Channels of the fused map, in and out.
        regions: Rows (of latitude) and columns (of longitude).
        num_prototypes: Prototypes of a region.
        num_heads: Heads of the cross-attention.
        momentum: Of the prototypes, in [0, 1].
        temperature: Of the assignment of places to prototypes.
        sinkhorn_iterations: Rounds of Sinkhorn-Knopp.
        max_places: Places of a view, evenly spread, that move prototypes.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE, prefix=...)``,
            loaded strictly, or None.
    """

    prototypes: Tensor

    def __init__(self,
                 embed_dims: int,
                 regions: tuple[int, int] = (64, 64),
                 num_prototypes: int = 100,
                 num_heads: int = 8,
                 momentum: float = 0.99,
                 temperature: float = 0.05,
                 sinkhorn_iterations: int = 3,
                 max_places: int = 16,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if len(regions) != 2 or min(regions) < 1:
            raise ValueError(f'regions={regions}: expected rows and columns, '
                             'at least 1 each')
        if num_prototypes < 1 or max_places < 1:
            raise ValueError(
                f'num_prototypes={num_prototypes}, max_places={max_places}: '
                'expected at least 1 each')
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is no multiple of '
                             f'num_heads={num_heads}')
        if not 0 <= momentum <= 1:
            raise ValueError(f'momentum={momentum}: expected 0 to 1')
        if temperature <= 0 or sinkhorn_iterations < 1:
            raise ValueError(
                f'temperature={temperature}, sinkhorn_iterations='
                f'{sinkhorn_iterations}: expected above 0 and at least 1')
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.regions = (int(regions[0]), int(regions[1]))
        self.momentum, self.temperature = momentum, temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self.max_places = max_places
        # The last row belongs to no region: it is never used and never
        # moves, so that nothing has to ask the device who is where.
        self.register_buffer('prototypes', torch.empty(
            self.regions[0] * self.regions[1] + 1, num_prototypes,
            embed_dims))
        self.no_region = nn.Parameter(torch.zeros(embed_dims))
        self.norm = nn.LayerNorm(embed_dims)
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key_value = nn.Linear(embed_dims, 2 * embed_dims)
        self.join = nn.Linear(2 * embed_dims, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Glorot weights; prototypes of deviation 1, as normed features."""
        for linear in (self.query, self.key_value, self.join):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.trunc_normal_(self.no_region, std=0.02)
        if not self.prototypes.is_meta:
            nn.init.normal_(self.prototypes)
        with torch.no_grad():
            # The map passes unchanged, its context a little.
            own, context = self.join.weight.chunk(2, dim=1)
            own.copy_(torch.eye(self.embed_dims))
            context.mul_(0.1)
        start_from_checkpoint(self)
        self._is_init = True

    def region(self, locations: Tensor) -> Tensor:
        """Regions of tiles.

        Args:
            locations: (B, 2), longitude and latitude in degrees (WGS 84);
                NaN or infinity = unknown. Longitudes wrap around, latitudes
                beyond the poles are those of the poles.

        Returns:
            int64 (B,), row * columns + column from the south-west; unknown
            locations have the number after the last region.
        """
        rows, columns = self.regions
        known = torch.isfinite(locations).all(-1)
        longitude, latitude = locations.double().nan_to_num(
            0.0, 0.0, 0.0).unbind(-1)
        column = ((longitude + 180).remainder(360) / 360 * columns).long()
        height = torch.sin(latitude.clamp(-90, 90) * (math.pi / 180))
        row = ((height + 1) / 2 * rows).long()
        region = (row.clamp(max=rows - 1) * columns
                  + column.clamp(max=columns - 1))
        return torch.where(known, region, rows * columns)

    def forward(self, fused: Tensor,
                locations: Tensor | None = None) -> Tensor:
        """Add the region's context.

        Args:
            fused: (B, embed_dims, h, w).
            locations: (B, 2), see :meth:`region`; None: all unknown.

        Returns:
            (B, embed_dims, h, w).
        """
        x = fused.flatten(2).transpose(1, 2)
        region = self._region(locations, fused)
        known = region < len(self.prototypes) - 1
        context = self.prototypes[region].to(x.dtype)
        query = self.query(self.norm(x)).unflatten(2, (self.num_heads, -1))
        key, value = self.key_value(context).unflatten(
            2, (2, self.num_heads, -1)).unbind(2)
        gathered = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2),
            value.transpose(1, 2)).transpose(1, 2).flatten(2)
        gathered = torch.where(known[:, None, None], gathered,
                               self.no_region.to(gathered.dtype))
        x = self.join(torch.cat((x, gathered), dim=2))
        return x.transpose(1, 2).unflatten(2, tuple(fused.shape[-2:]))

    @torch.no_grad()
    def update(self, fused: Tensor, locations: Tensor | None,
               measured: Tensor | None = None) -> None:
        """Move the prototypes of the regions in the batch of all processes.

        Places of a region, of all tiles and processes, are assigned to the
        region's prototypes with Sinkhorn (each prototype an equal share);
        prototypes move toward the mean of their places. All processes do the
        same, so buffers stay equal. Nothing waits for the device.

        Args:
            fused: (B, embed_dims, h, w), before the context was added; the
                same shape on every process.
            locations: (B, 2), see :meth:`region`; None: all unknown.
            measured: Optional, bool (B, h, w); places of False move nothing.
        """
        x = fused.flatten(2).transpose(1, 2).float()
        if measured is None:
            measured = torch.ones_like(fused[:, 0], dtype=torch.bool)
        weight = measured.flatten(1).float()
        step = -(-x.shape[1] // self.max_places)
        x = gather_over_processes(x[:, ::step].contiguous())
        weight = gather_over_processes(weight[:, ::step].contiguous())
        region = gather_over_processes(self._region(locations, fused))
        weight = weight * (region < len(self.prototypes) - 1)[:, None]

        # Tiles of a region share the sums of the first of them.
        first = (region[:, None] == region).to(torch.uint8).argmax(1)
        old = self.prototypes[region].float()
        cosine = torch.einsum('bld,bpd->blp',
                              F.normalize(x, dim=-1, eps=_TINY),
                              F.normalize(old, dim=-1, eps=_TINY))
        # Cosines are at most 1: nothing overflows.
        share = ((cosine - 1) / self.temperature).exp() * weight[..., None]
        for _ in range(self.sinkhorn_iterations):
            total = _sum_by_region(share.sum(1), first)[:, None]
            share = share / total.clamp(min=1e-30)
            rows = share.sum(-1, keepdim=True).clamp(min=1e-30)
            share = share / rows * weight[..., None]
        mass = _sum_by_region(share.sum(1), first)[..., None]
        mean = _sum_by_region(torch.einsum('blp,bld->bpd', share, x), first)
        mean = mean / mass.clamp(min=_TINY)
        moved = torch.lerp(mean, old, self.momentum)
        # Tiles of one region write the same values.
        self.prototypes[region] = torch.where(mass > _TINY, moved, old).to(
            self.prototypes.dtype)

    def _region(self, locations: Tensor | None, fused: Tensor) -> Tensor:
        if locations is None:
            return torch.full((len(fused), ), len(self.prototypes) - 1,
                              device=fused.device)
        if locations.shape != (len(fused), 2):
            raise ValueError(
                f'locations: expected ({len(fused)}, 2), longitude and '
                f'latitude of each map, found {tuple(locations.shape)}')
        return self.region(locations)


def _sum_by_region(x: Tensor, first: Tensor) -> Tensor:
    """Sums (B, ...) over the tiles of the same region, for each tile."""
    return torch.zeros_like(x).index_add_(0, first, x)[first]
