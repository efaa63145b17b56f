# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""QSACL: query-based semantic aggregation contrastive learning."""

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmskysense.registry import MODELS

from .projection_head import ProjectionHead
from .query_decoder import QueryDecoder
from .self_distillation import self_distillation
from .sinkhorn import sinkhorn_knopp


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
        num_prototypes: Prototypes, K.
        hidden_channels: Hidden width of the projection head.
        bottleneck_channels: Its width in front of the prototypes.
        student_temperature: Temperature of the student.
        sinkhorn_iterations: Rounds of Sinkhorn-Knopp.
        init_cfg: mmengine's initialisation config.

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
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.student_temperature = student_temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self.decoder = QueryDecoder(in_channels, num_queries, num_heads)
        self.projection = ProjectionHead(in_channels, num_prototypes,
                                         hidden_channels,
                                         bottleneck_channels)

    @property
    def num_queries(self) -> int:
        """Number of queries, m."""
        return len(self.decoder.queries)

    def init_weights(self) -> None:
        """Start decoder and projection head."""
        self.decoder.init_weights()
        self.projection.init_weights()
        self._is_init = True

    def forward(self, fused: Tensor, return_attention: bool = False
                ) -> tuple[Tensor, Tensor | None]:
        """Logits of every query.

        Args:
            fused: Fused maps of B views (B, in_channels, h, w).
            return_attention: Also return the queries' attention.

        Returns:
            z, float32 (B, m, K), cosines; attention (B, m, h, w) or None.
        """
        gathered, attention = self.decoder(fused, return_attention)
        return self.projection(gathered), attention

    def centre(self, teacher: Tensor, temperature: float) -> Tensor:
        """Teacher's assignments, centred over the views and tiles.

        Args:
            teacher: Logits (V, N, m, K).
            temperature: The teacher's.

        Returns:
            float32 (V, N, m, K), rows sum to 1.
        """
        views = len(teacher)
        by_query = teacher.flatten(0, 1).transpose(0, 1)  # (m, V * N, K)
        centred = sinkhorn_knopp(by_query, temperature,
                                 self.sinkhorn_iterations)
        return centred.transpose(0, 1).unflatten(0, (views, -1))

    def loss(self, student_global: Tensor, student_local: Tensor,
             teacher_global: Tensor, teacher_local: Tensor,
             teacher_temperature: float) -> Tensor:
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

        Returns:
            Scalar, at least 0.
        """
        to_local = self_distillation(
            student_global, self.centre(teacher_local, teacher_temperature),
            self.student_temperature)
        to_global = self_distillation(
            student_local, self.centre(teacher_global, teacher_temperature),
            self.student_temperature)
        # Both (views, views, N, m): the mean over m is the 1/m.
        return 0.5 * (to_local.mean() + to_global.mean())

    @torch.no_grad()
    def statistics(self, teacher: Tensor, temperature: float,
                   attention: Tensor | None = None) -> dict[str, Any]:
        """What tells whether queries are in use.

        Args:
            teacher: Teacher's logits of global views (V, N, m, K).
            temperature: The teacher's.
            attention: The student's attention (B, m, h, w).

        Returns:
            ``usage_entropy`` (m,): entropy of each query's mean assignment
            before centring, as a fraction of log K: 0 = one prototype for
            all images. ``assignment_entropy`` (m,): mean entropy of centred
            assignments, as a fraction: 1 = uniform targets, nothing to
            learn. ``attention_overlap`` (): mean cosine of two queries'
            attention maps, with two queries or more.
        """
        log_k = torch.tensor(float(teacher.shape[-1])).log()
        raw = (teacher.float() / temperature).softmax(-1).mean((0, 1))
        centred = self.centre(teacher, temperature)
        result: dict[str, Any] = dict(
            usage_entropy=_entropy(raw) / log_k,
            assignment_entropy=_entropy(centred).mean((0, 1)) / log_k)
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
