# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""ITA: dense alignment of pixels with the names of their classes."""

import os
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskysense.registry import MODELS
from mmskysense.utils.part_checkpoint import start_from_checkpoint

from ..across_processes import weighted_mean
from .class_names import read_class_table
from .encoded_views import SourceMaps
from .view_geometry import place_centres, to_grid

_TINY = 1e-6
#: Class id of pixels without a label.
UNLABELLED = 255


@MODELS.register_module()
class ImageTextAlignment(BaseModule):
    """Fused pixels point to the embeddings of their classes' names.

    Cross-entropy over cosine / temperature of the student's fused map with a
    table of class-name embeddings, rasterised from OpenStreetMap; unlabelled
    pixels are ignored (SkySense V2, spec section 3). Ours: the table is a
    file, a linear layer in front, cosines are interpolated (bilinear) to the
    labels' grid, and pixels where nothing was measured are ignored too.

    Args:
        in_channels: Channels of the fused map.
        table: A file of :mod:`mmskysense.models.pretrain.class_names`, or
            None for a table without text: one-hot (all classes equally far
            apart) or, with ``learnable``, random vectors that are learned.
        num_classes: Classes; needed without a table, checked with one.
        temperature: Divides the cosines.
        learnable: Whether the table is learned; one from a file is then only
            the start.
        embed_dims: Width of a learned table without a file.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE, prefix=...)``,
            loaded strictly, or None.

    Attributes:
        encoder: Who made the embeddings: the file's word for it,
            ``'one-hot'`` or ``'learnable'``.

    Raises:
        ValueError: The table and ``num_classes`` do not fit, or neither is
            given.
    """

    def __init__(self,
                 in_channels: int,
                 table: str | os.PathLike | None = None,
                 num_classes: int | None = None,
                 temperature: float = 0.07,
                 learnable: bool = False,
                 embed_dims: int = 256,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if temperature <= 0:
            raise ValueError(f'temperature={temperature}: expected above 0')
        if table is not None:
            content = read_class_table(table)
            if num_classes not in (None, len(content.names)):
                raise ValueError(
                    f'num_classes={num_classes}, but {table} has '
                    f'{len(content.names)} classes: {content.names}')
            if len(content.names) > UNLABELLED:
                raise ValueError(
                    f'{table} has {len(content.names)} classes, expected at '
                    f'most {UNLABELLED} ({UNLABELLED} means unlabelled)')
            self.encoder = content.encoder
            embeddings = torch.from_numpy(content.embeddings)
        elif num_classes is None or not 2 <= num_classes <= UNLABELLED:
            raise ValueError(
                f'num_classes={num_classes}: without a table of class names, '
                f'expected 2 to {UNLABELLED} classes ({UNLABELLED} means '
                'unlabelled)')
        elif learnable:
            self.encoder = 'learnable'
            embeddings = torch.randn(num_classes, embed_dims)
        else:
            self.encoder = 'one-hot'
            embeddings = torch.eye(num_classes)
        self.temperature = temperature
        if learnable:
            self.embeddings = nn.Parameter(embeddings)
        else:
            self.register_buffer('embeddings', embeddings)
        self.projection = nn.Linear(in_channels, embeddings.shape[1])

    @property
    def num_classes(self) -> int:
        """Number of classes, K."""
        return len(self.embeddings)

    def init_weights(self) -> None:
        """Glorot uniform weights, zero bias; the table stays as it is."""
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        start_from_checkpoint(self)
        self._is_init = True

    def forward(self, fused: Tensor) -> Tensor:
        """Cosines of every place with every class.

        Args:
            fused: (B, in_channels, h, w).

        Returns:
            (B, K, h, w), float32 (float64 for such maps).
        """
        x = self.projection(fused.permute(0, 2, 3, 1))
        precise = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            x = F.normalize(x.to(precise), dim=-1, eps=_TINY)
            table = F.normalize(self.embeddings.to(precise), dim=-1,
                                eps=_TINY)
            return F.linear(x, table).permute(0, 3, 1, 2)

    def loss(self, views: Iterable[tuple[SourceMaps, Tensor]]) -> Tensor:
        """Mean cross-entropy over the labelled pixels of all views.

        Args:
            views: For each kind of view the fused maps and the labels, int64
                (V, N, H, W) on any grid, 255 = unlabelled.

        Returns:
            Scalar; 0 in the graph without a labelled pixel. The mean over
            processes is that of the joined batch.

        Raises:
            ValueError: A label that is no class (on a CPU; a GPU would have
                to be waited for and stops with an assertion of its own).
        """
        totals, counts = [], []
        for fused, labels in views:
            cosine = self(fused.maps.flatten(0, 2))
            total, count = self._cross_entropy(cosine, fused, labels)
            totals.append(total)
            counts.append(count)
        return weighted_mean(torch.stack(totals).sum(),
                             torch.stack(counts).sum())

    def _cross_entropy(self, cosine: Tensor, fused: SourceMaps,
                       labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the loss over labelled pixels, and their number."""
        self._check(labels)
        size = (int(labels.shape[-2]), int(labels.shape[-1]))
        grid = to_grid(place_centres(size, device=cosine.device),
                       fused.extent)
        grid = grid.expand(len(cosine), -1, -1, -1).to(cosine)

        def on_labels(x: Tensor, mode: str) -> Tensor:
            return F.grid_sample(x, grid, mode=mode, padding_mode='border',
                                 align_corners=False)

        measured = fused.measured.flatten(0, 2)[:, None].to(cosine)
        ignored = on_labels(measured, 'nearest')[:, 0] < 0.5
        target = labels.flatten(0, 1).masked_fill(ignored, UNLABELLED)
        total = F.cross_entropy(
            on_labels(cosine, 'bilinear') / self.temperature, target,
            ignore_index=UNLABELLED, reduction='sum')
        return total, (target != UNLABELLED).sum().to(total)

    def _check(self, labels: Tensor) -> None:
        if labels.device.type != 'cpu':
            return
        wrong = (labels != UNLABELLED) & ((labels < 0)
                                          | (labels >= self.num_classes))
        if wrong.any():
            raise ValueError(
                f'labels hold class {int(labels[wrong][0])}, expected 0 to '
                f'{self.num_classes - 1} or {UNLABELLED} (unlabelled): the '
                'table of class names must be that of the label rasters')
