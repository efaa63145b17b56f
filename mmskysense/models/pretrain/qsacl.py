# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""QSACL: query-based semantic aggregation contrastive learning."""

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmskysense.registry import MODELS
from mmskysense.utils.part_checkpoint import start_from_checkpoint

from ..across_processes import weighted_mean
from .projection_head import ProjectionHead
from .query_decoder import QueryDecoder
from .self_distillation import self_distillation
from .sinkhorn import SampleCount, sinkhorn_knopp


@MODELS.register_module()
class QSACLHead(BaseModule):
    """Queries gather what belongs together in a view; then views agree.

    Two crops of one tile show different objects, so their pooled features
    should not agree; what one query finds in each of them should (SkySense
    V2, spec section 3). Outputs are matched by query index.

    Ours, because CL is unpublished: the projection head, and Sinkhorn
    centring of the teacher for each query on its own. Centred together, a
    query could own a fixed group of prototypes and ignore the image.

    Args:
        in_channels: Channels of the fused map.
        num_queries: Queries, m; the paper's ablation prefers 16.
        num_heads: Heads of the decoder layer.
        num_prototypes: Prototypes, K. Fewer than views times tiles: with
            more, targets get soft (a warning says so once).
        hidden_channels: Hidden width of the projection head.
        bottleneck_channels: Its width in front of the prototypes.
        student_temperature: Temperature of the student.
        sinkhorn_iterations: Rounds of Sinkhorn-Knopp.
        batch_norm: Of the projection head, for each query on its own, see
            :class:`ProjectionHead`.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE, prefix=...)``,
            loaded strictly, or None.

    Example:
        >>> import torch
        >>> from mmskysense import QSACLHead
        >>> head = QSACLHead(32, num_queries=4, num_prototypes=64)
        >>> z, attention = head(torch.rand(2, 32, 4, 4), True)
        >>> z.shape, attention.shape
        (torch.Size([2, 4, 64]), torch.Size([2, 4, 4, 4]))
    """

    def __init__(self,
                 in_channels: int,
                 num_queries: int = 16,
                 num_heads: int = 8,
                 num_prototypes: int = 8192,
                 hidden_channels: int = 2048,
                 bottleneck_channels: int = 256,
                 student_temperature: float = 0.1,
                 sinkhorn_iterations: int = 3,
                 batch_norm: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.student_temperature = student_temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self._samples = SampleCount('QSACLHead')
        self.decoder = QueryDecoder(in_channels, num_queries, num_heads)
        self.projection = ProjectionHead(in_channels, num_prototypes,
                                         hidden_channels,
                                         bottleneck_channels, batch_norm)

    @property
    def num_queries(self) -> int:
        """Number of queries, m."""
        return len(self.decoder.queries)

    def init_weights(self) -> None:
        """Start decoder and projection head."""
        self.decoder.init_weights()
        self.projection.init_weights()
        start_from_checkpoint(self)
        self._is_init = True

    def forward(self, fused: Tensor, return_attention: bool = False,
                weight: Tensor | None = None,
                measured: Tensor | None = None
                ) -> tuple[Tensor, Tensor | None]:
        """Logits of every query.

        Args:
            fused: Fused maps of B views (B, in_channels, h, w).
            return_attention: Also return the queries' attention.
            weight: Optional, bool (B,), False for views with nothing
                measured. Only ``batch_norm`` uses it.
            measured: Optional, bool (B, h, w), the places that queries may
                look at.

        Returns:
            z, float32 (B, m, K), cosines; attention (B, m, h, w) or None.
        """
        gathered, attention = self.decoder(fused, return_attention,
                                           measured)
        if weight is None:
            weight = fused.new_ones(len(fused))
        return self.projection(gathered, weight), attention

    def centre(self, teacher: Tensor, temperature: float,
               weight: Tensor | None = None) -> Tensor:
        """Teacher's assignments, centred over the views and tiles.

        Args:
            teacher: Logits (V, N, m, K).
            temperature: The teacher's.
            weight: Optional, bool (V, N), False where a view has nothing
                measured: it takes no part.

        Returns:
            float32 (V, N, m, K), rows sum to 1, or are 0 without weight.
        """
        views = len(teacher)
        self._samples.check(views * teacher.shape[1], teacher.shape[-1])
        by_query = teacher.flatten(0, 1).transpose(0, 1)  # (m, V * N, K)
        by_view = None if weight is None else weight.flatten().expand(
            len(by_query), -1)
        centred = sinkhorn_knopp(by_query, temperature,
                                 self.sinkhorn_iterations, by_view)
        return centred.transpose(0, 1).unflatten(0, (views, -1))

    def loss(self, student_global: Tensor, student_local: Tensor,
             teacher_global: Tensor, teacher_local: Tensor,
             teacher_temperature: float,
             weight_global: Tensor | None = None,
             weight_local: Tensor | None = None) -> Tensor:
        """Agreement of global and local views, query by query.

        L = 1/(2m) sum_i [CL(z_i^g, z_i^l') + CL(z_i^l, z_i^g')], ' is the
        teacher; the mean over all pairs of a global and a local view and
        over tiles (SkySense V2, spec section 3).

        Args:
            student_global: Logits (V_g, N, m, K).
            student_local: Logits (V_l, N, m, K).
            teacher_global: Logits (V_g, N, m, K).
            teacher_local: Logits (V_l, N, m, K).
            teacher_temperature: Divides the teacher's logits.
            weight_global: Optional, bool (V_g, N), False where a view has
                nothing measured (ours): neither it nor a pair with it
                counts.
            weight_local: Optional, bool (V_l, N).

        Returns:
            Scalar, at least 0; 0 where no pair has weight. The mean over
            processes is the value of the joined batch.

        Raises:
            ValueError: Student and teacher differ in shape.
        """
        for kind, student, teacher in (
                ('global', student_global, teacher_global),
                ('local', student_local, teacher_local)):
            if student.shape != teacher.shape:
                raise ValueError(
                    f'{kind} views: expected logits of the same shape from '
                    f'student and teacher, found {tuple(student.shape)} and '
                    f'{tuple(teacher.shape)}')
        target_local = self.centre(teacher_local, teacher_temperature,
                                   weight_local)
        target_global = self.centre(teacher_global, teacher_temperature,
                                    weight_global)
        # Both (views, views, N, m): the mean over m is the 1/m.
        to_local = self_distillation(
            student_global, target_local, self.student_temperature).mean(-1)
        to_global = self_distillation(
            student_local, target_global, self.student_temperature).mean(-1)
        if weight_global is None:
            weight_global = torch.ones_like(to_local[:, 0])
        if weight_local is None:
            weight_local = torch.ones_like(to_global[:, 0])
        pair = (weight_global[:, None] * weight_local).to(to_local)
        total = (to_local * pair).sum() + (
            to_global * pair.transpose(0, 1)).sum()
        return 0.5 * weighted_mean(total, pair.sum())

    @torch.no_grad()
    def statistics(self, teacher: Tensor, temperature: float,
                   attention: Tensor | None = None,
                   weight: Tensor | None = None) -> dict[str, Any]:
        """What tells whether queries are in use.

        Args:
            teacher: Teacher's logits of global views (V, N, m, K).
            temperature: The teacher's.
            attention: The student's attention (B, m, h, w).
            weight: Optional, bool (V, N), False where a view has nothing
                measured: it does not count for the entropies.

        Returns:
            ``usage_entropy`` (m,): entropy of each query's mean assignment
            before centring, as a fraction of log K: 0 = one prototype for
            all images. ``assignment_entropy`` (m,): mean entropy of centred
            assignments, as a fraction: 1 = uniform targets, nothing to
            learn. ``attention_overlap`` (): mean cosine of two queries'
            attention maps, with two queries or more.
        """
        log_k = torch.tensor(float(teacher.shape[-1])).log()
        if weight is None:
            weight = torch.ones_like(teacher[..., 0, 0])
        share = weight[..., None, None].float()
        share = share / share.sum().clamp(min=1.0)
        raw = ((teacher.float() / temperature).softmax(-1) * share).sum(
            (0, 1))
        entropy = _entropy(self.centre(teacher, temperature, weight))
        result: dict[str, Any] = dict(
            usage_entropy=_entropy(raw) / log_k,
            assignment_entropy=(entropy * share[..., 0]).sum((0, 1)) / log_k)
        if attention is not None and self.num_queries > 1:
            unit = torch.nn.functional.normalize(
                attention.flatten(2).float(), dim=-1)
            cosine = unit @ unit.transpose(1, 2)
            pairs = self.num_queries * (self.num_queries - 1)
            off_diagonal = cosine.sum((1, 2)) - cosine.diagonal(
                dim1=1, dim2=2).sum(1)
            result['attention_overlap'] = (off_diagonal / pairs).mean()
        return result


def _entropy(probability: Tensor) -> Tensor:
    """Entropy in nats over the last dimension."""
    return -torch.xlogy(probability, probability).sum(-1)
