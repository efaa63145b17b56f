# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Fusion of all sensors and dates into one map."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmskysense.registry import MODELS
from mmskysense.sensors import get_sensors
from mmskysense.utils.part_checkpoint import start_from_checkpoint

from .masked_resize import masked_resize, place_validity
from .sequence_layer import MaskedSequenceLayer
from .up_head import UpHead

_DAYS = 366


@MODELS.register_module()
class MultiModalTemporalFusion(BaseModule):
    """The multi-modal temporal fusion transformer.

    For each place of the common grid, the features of all sensors and dates
    there form a sequence; a day-of-year code is added, an extra token put in
    front, and after the transformer the extra token is the place's fused
    feature (SkySense V2, spec section 2; 24 layers, width 1024, 16 heads,
    drop path 0.3 at the paper's size). Places are independent sequences: all
    places of a batch pass in one call.

    Ours: the attention mask (any non-empty subset of sensors and any number
    of dates work; a place where nothing was measured gives a finite,
    learned constant), the learned code of each sensor, the code of an
    unknown date, pre-norm, and bilinear resampling by validity.

    Args:
        in_channels: Channels of the encoder's maps.
        embed_dims: Width of the transformer and of the result.
        depth: Layers.
        num_heads: Attention heads.
        sensors: Sensors that inputs may have.
        mlp_ratio: Hidden width of the feed-forward networks over the width.
        drop_path_rate: Of the last layer; it grows linearly with depth.
        grid: Sensor whose grid is the result's, or ``'finest'``: the finest
            one that is present; also what is taken if the named sensor is
            absent.
        resample: ``'bilinear'``, ``'nearest'`` or ``'learned'``
            (:class:`UpHead`), for maps coarser than the grid.
        with_cp: Recompute layers in the backward pass to save memory.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE, prefix=...)``,
            loaded strictly, or None.

    Example:
        >>> import torch
        >>> from mmskysense import MultiModalTemporalFusion
        >>> fusion = MultiModalTemporalFusion(
        ...     8, embed_dims=16, depth=2, num_heads=2)
        >>> fused = fusion(
        ...     {'hr_rgb': torch.rand(2, 1, 8, 4, 4),
        ...      's2_l2a': torch.rand(2, 3, 8, 2, 2)},
        ...     {'s2_l2a': torch.tensor([[10, 100, 200], [30, 60, 0]])})
        >>> fused.shape
        torch.Size([2, 16, 4, 4])
    """

    def __init__(self,
                 in_channels: int,
                 embed_dims: int = 1024,
                 depth: int = 24,
                 num_heads: int = 16,
                 sensors: Sequence[str] = ('hr_rgb', 's2_l2a', 's1_grd'),
                 mlp_ratio: float = 4.0,
                 drop_path_rate: float = 0.0,
                 grid: str = 'finest',
                 resample: str = 'bilinear',
                 with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.sensors = tuple(sensor.name for sensor in get_sensors(sensors))
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is no multiple of '
                             f'num_heads={num_heads}')
        if depth < 1:
            raise ValueError(f'depth={depth}: expected at least 1 layer')
        if grid != 'finest' and grid not in self.sensors:
            raise ValueError(f"grid='{grid}': expected 'finest' or one of "
                             f'sensors={self.sensors}')
        if resample not in ('bilinear', 'nearest', 'learned'):
            raise ValueError(f"resample='{resample}': expected 'bilinear', "
                             "'nearest' or 'learned'")
        self.in_channels, self.embed_dims = in_channels, embed_dims
        self.grid, self.resample, self.with_cp = grid, resample, with_cp
        self.in_proj = nn.Linear(in_channels, embed_dims)
        self.up_head = UpHead(embed_dims) if resample == 'learned' else None
        # Row 0 is the code of an unknown date.
        self.day_of_year = nn.Embedding(_DAYS + 1, embed_dims)
        self.sensor_codes = nn.Parameter(
            torch.zeros(len(self.sensors), embed_dims))
        self.fusion_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        rates = torch.linspace(0, drop_path_rate, depth, device='cpu')
        self.layers = nn.ModuleList(
            MaskedSequenceLayer(embed_dims, num_heads, mlp_ratio, rate)
            for rate in rates.tolist())
        self.norm = nn.LayerNorm(embed_dims)

    def init_weights(self) -> None:
        """Truncated normal weights of deviation 0.02, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if getattr(module, 'bias', None) is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.sensor_codes, std=0.02)
        nn.init.trunc_normal_(self.fusion_token, std=0.02)
        if self.up_head is not None:
            self.up_head.init_weights()
        start_from_checkpoint(self)
        self._is_init = True

    def forward(self,
                features: Mapping[str, Tensor],
                dates: Mapping[str, Tensor] | None = None,
                valid: Mapping[str, Tensor] | None = None,
                return_measured: bool = False
                ) -> Tensor | tuple[Tensor, Tensor]:
        """Fuse.

        Args:
            features: Sensor -> maps (N, T, in_channels, h, w) of the
                encoder's last stage; T and the grid may differ between
                sensors, T = 0 counts as absent.
            dates: Sensor -> int64 (N, T), day of year 1..366, 0 = unknown.
                A sensor left out has unknown dates.
            valid: Sensor -> bool (N, T), False for dates that do not exist,
                or bool (N, T, H, W) by place or by pixel (a place is valid
                if any of its pixels is). A sensor left out is valid
                everywhere.
            return_measured: Also return where anything was measured.

        Returns:
            (N, embed_dims, h, w) on the common grid; if asked for, also bool
            (N, h, w), False where no sensor measured anything at any date.

        Raises:
            ValueError: No sensor, an unknown one, or shapes that do not fit.
        """
        present = self._check(features, dates, valid)
        height, width = features[self.grid_sensor(features)].shape[-2:]
        size = (int(height), int(width))
        tokens, masks = [], []
        for sensor in present:
            day = (dates or {}).get(sensor)
            token, mask = self._tokens(sensor, features[sensor], day,
                                       (valid or {}).get(sensor), size)
            tokens.append(token)
            masks.append(mask)
        batch = len(tokens[0])
        front = self.fusion_token.to(tokens[0].dtype).expand(batch, -1, -1)
        x = torch.cat((front, *tokens), dim=1)
        if self.up_head is not None:
            x = x + self.up_head.idle().to(x.dtype)
        mask = None
        if valid:
            mask = torch.cat(
                (masks[0].new_ones(batch, 1), *masks), dim=1)
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            if self.with_cp and x.requires_grad:
                x = checkpoint(layer, x, mask, last, use_reentrant=False)
            else:
                x = layer(x, mask, last)
        fused = self.norm(x[:, 0]).unflatten(
            0, (-1, *size)).permute(0, 3, 1, 2)
        if not return_measured:
            return fused
        measured = torch.cat(masks, dim=1).any(1)
        return fused, measured.unflatten(0, (-1, *size))

    def _tokens(self, sensor: str, maps: Tensor, day: Tensor | None,
                valid: Tensor | None,
                size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Tokens (N*h*w, T, d) of a sensor and their mask (N*h*w, T)."""
        batch, num_dates = maps.shape[:2]
        flat = maps.flatten(0, 1)
        if valid is not None and valid.dim() == 4:
            place = place_validity(valid.flatten(0, 1),
                                   tuple(flat.shape[-2:]))
        else:
            if valid is None:
                valid = torch.ones(
                    batch, num_dates, dtype=torch.bool, device=maps.device)
            place = valid.flatten()[:, None, None].expand(
                -1, *flat.shape[-2:])
        # Projected first: it commutes with resampling and narrows the maps.
        flat = self.in_proj(flat.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        resized, place_or_none = masked_resize(
            flat, place, size, 'bilinear' if self.up_head else self.resample)
        assert place_or_none is not None
        coarser = flat.shape[-2] < size[0] or flat.shape[-1] < size[1]
        if self.up_head is not None and coarser:
            resized = self.up_head(resized, place_or_none)
        if day is None:
            day = torch.zeros(
                batch, num_dates, dtype=torch.int64, device=maps.device)
        code = self.day_of_year(day) + self.sensor_codes[self.sensors.index(
            sensor)]
        # (N, T, d, h, w) -> (N, h, w, T, d): places are the batch.
        x = resized.unflatten(0, (batch, num_dates)).permute(0, 3, 4, 1, 2)
        x = x + code[:, None, None].to(x.dtype)
        mask = place_or_none.unflatten(
            0, (batch, num_dates)).permute(0, 2, 3, 1)
        return x.flatten(0, 2), mask.flatten(0, 2)

    def grid_sensor(self, features: Mapping[str, Tensor]) -> str:
        """The sensor whose grid is the result's.

        Args:
            features: As for :meth:`forward`, with at least one sensor that
                is not empty.
        """
        present = [sensor for sensor in self.sensors
                   if sensor in features and features[sensor].numel()]
        if self.grid in present:
            return self.grid
        # The first of the finest ones.
        return max(present, key=lambda sensor: features[sensor].shape[-2]
                   * features[sensor].shape[-1])

    def _check(self, features: Mapping[str, Tensor],
               dates: Mapping[str, Tensor] | None,
               valid: Mapping[str, Tensor] | None) -> list[str]:
        """Sensors that are present, in the order of ``sensors``."""
        for sensor, maps in features.items():
            if sensor not in self.sensors:
                raise ValueError(f"features hold sensor '{sensor}', the "
                                 f'fusion was built for {self.sensors}')
            if maps.dim() != 5 or maps.shape[2] != self.in_channels:
                raise ValueError(
                    f"sensor '{sensor}': expected features (N, T, "
                    f'{self.in_channels}, h, w), found {tuple(maps.shape)}')
            for name, given, ndims in (('dates', dates, (2, )),
                                       ('valid', valid, (2, 4))):
                value = (given or {}).get(sensor)
                if value is not None and (value.dim() not in ndims or
                                          value.shape[:2] != maps.shape[:2]):
                    raise ValueError(
                        f"sensor '{sensor}': {name} must begin with (N, T) = "
                        f'{tuple(maps.shape[:2])}, found '
                        f'{tuple(value.shape)}')
        present = [
            sensor for sensor in self.sensors
            if sensor in features and features[sensor].numel()
        ]
        if not present:
            raise ValueError('expected features of at least one of the '
                             f'sensors {self.sensors}, found none')
        return present
