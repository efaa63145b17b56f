# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""MGCL: multi-granularity contrastive learning, the image level."""

from collections.abc import Mapping

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskysense.registry import MODELS

from .projection_head import ProjectionHead
from .self_distillation import self_distillation
from .sinkhorn import sinkhorn_knopp

#: Name of the fused map among the sources.
FUSED = 'fused'


@MODELS.register_module()
class ImageContrast(BaseModule):
    """The image-level term of MGCL: pooled features of views agree.

    On the fused map and on the map of each sensor, student against teacher
    (SkySense V2, spec section 3; the pixel and object levels are terms of
    their own and not part of this class). Ours: global views of the teacher
    are what the student's other global views and its local views must
    predict, as in DINO; a projection head for each source.

    A view in which a sensor measured nothing takes no part in that sensor's
    term.

    Args:
        sources: Source -> channels of its features: ``'fused'`` and, or,
            sensors.
        num_prototypes: Prototypes, K, of each source.
        hidden_channels: Hidden width of the projection heads.
        bottleneck_channels: Their width in front of the prototypes.
        student_temperature: Temperature of the student.
        sinkhorn_iterations: Rounds of Sinkhorn-Knopp.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(self,
                 sources: Mapping[str, int],
                 num_prototypes: int = 8192,
                 hidden_channels: int = 2048,
                 bottleneck_channels: int = 256,
                 student_temperature: float = 0.1,
                 sinkhorn_iterations: int = 3,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not sources:
            raise ValueError("sources is empty, expected 'fused' and, or, "
                             'sensors, each with its channels')
        self.student_temperature = student_temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self.heads = nn.ModuleDict({
            source: ProjectionHead(channels, num_prototypes, hidden_channels,
                                   bottleneck_channels)
            for source, channels in sources.items()
        })

    def init_weights(self) -> None:
        """Start the projection heads."""
        for head in self.heads.values():
            head.init_weights()
        self._is_init = True

    def forward(self, pooled: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits of each source that is present.

        Args:
            pooled: Source -> features (..., channels); more sources than
                this head has are allowed and left out.

        Returns:
            Source -> float32 logits (..., K).
        """
        return {
            source: head(pooled[source])
            for source, head in self.heads.items() if source in pooled
        }

    def loss(self,
             student_global: Mapping[str, Tensor],
             teacher_global: Mapping[str, Tensor],
             teacher_temperature: float,
             student_local: Mapping[str, Tensor] | None = None,
             weight_global: Mapping[str, Tensor] | None = None,
             weight_local: Mapping[str, Tensor] | None = None) -> Tensor:
        """Mean over sources of the agreement of views.

        Args:
            student_global: Source -> logits (V_g, N, K), of sources of this
                head. Processes may have different ones.
            teacher_global: Source -> logits (V_g, N, K).
            teacher_temperature: Divides the teacher's logits.
            student_local: Source -> logits (V_l, N, K).
            weight_global: Source -> bool (V_g, N), False where the source
                has nothing measured; a source left out always has.
            weight_local: Source -> bool (V_l, N).

        Returns:
            Scalar, at least 0; 0 where no pair of views exists. Connected
            to the heads of absent sources too.
        """
        terms, unused = [], []
        # In the order of the heads, absent sources too: Sinkhorn talks to
        # the other processes, whose batches may have other sensors.
        for source, head in self.heads.items():
            if source not in student_global:
                self._centre_nothing(head, teacher_temperature)
                unused += [0.0 * p.sum() for p in head.parameters()]
                continue
            local = (student_local or {}).get(source)
            terms.append(self._source_loss(
                student_global[source], teacher_global[source],
                teacher_temperature, local,
                (weight_global or {}).get(source),
                (weight_local or {}).get(source)))
        if not terms:
            return torch.stack(unused).sum()
        total = torch.stack(terms).mean()
        return total + torch.stack(unused).sum() if unused else total

    def _centre_nothing(self, head: ProjectionHead,
                        temperature: float) -> None:
        """Take part in the other processes' Sinkhorn with no sample.

        One row of weight 0, of the lowest cosine, which moves no maximum.
        """
        row = torch.full((1, head.num_prototypes), -1.0,
                         device=head.prototypes.device)
        sinkhorn_knopp(row, temperature, self.sinkhorn_iterations,
                       row.new_zeros(1))

    def _source_loss(self, student: Tensor, teacher: Tensor,
                     temperature: float, local: Tensor | None,
                     weight: Tensor | None,
                     local_weight: Tensor | None) -> Tensor:
        views, batch = teacher.shape[:2]
        if weight is None:
            weight = torch.ones(views, batch, device=teacher.device)
        weight = weight.float()
        target = sinkhorn_knopp(
            teacher.flatten(0, 1), temperature, self.sinkhorn_iterations,
            weight.flatten()).unflatten(0, (views, batch))
        seen = weight
        if local is not None:
            student = torch.cat((student, local))
            if local_weight is None:
                local_weight = torch.ones_like(local[..., 0])
            seen = torch.cat((weight, local_weight.float()))
        loss = self_distillation(student, target, self.student_temperature)
        # Pairs (student view, teacher view): never a view with itself.
        same = torch.eye(len(student), views, device=loss.device)
        pair = (1 - same)[..., None] * seen[:, None] * weight[None]
        return (loss * pair).sum() / pair.sum().clamp(min=1.0)
