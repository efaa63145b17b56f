# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What the levels of MGCL share: a head a source, and their mean."""

from collections.abc import Callable, Mapping

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskysense.utils.part_checkpoint import start_from_checkpoint

from ..across_processes import sum_over_processes, weighted_mean
from .projection_head import ProjectionHead
from .self_distillation import self_distillation
from .sinkhorn import SampleCount, sinkhorn_knopp

#: Name of the fused map among the sources.
FUSED = 'fused'


class SourceContrast(BaseModule):
    """CL of features of each source: a base class, not a term of the loss.

    MGCL compares features of the fused map and of each sensor, student
    against teacher (SkySense V2, spec section 3). CL is unpublished; ours is
    that of the whole project: projection head, prototypes, Sinkhorn centring
    of the teacher, cross-entropy. Each source has a head of its own, and the
    term is the mean over the sources that have something to compare in the
    batch of all processes.

    Args:
        sources: Source -> channels of its features: ``'fused'`` and, or,
            sensors.
        num_prototypes: Prototypes, K, of each source. Fewer than samples:
            with more, targets get soft (a warning says so once).
        hidden_channels: Hidden width of the projection heads.
        bottleneck_channels: Their width in front of the prototypes.
        student_temperature: Temperature of the student.
        sinkhorn_iterations: Rounds of Sinkhorn-Knopp.
        batch_norm: Of the projection heads, see :class:`ProjectionHead`.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE, prefix=...)``,
            loaded strictly, or None.
    """

    def __init__(self,
                 sources: Mapping[str, int],
                 num_prototypes: int = 8192,
                 hidden_channels: int = 2048,
                 bottleneck_channels: int = 256,
                 student_temperature: float = 0.1,
                 sinkhorn_iterations: int = 3,
                 batch_norm: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not sources:
            raise ValueError("sources is empty, expected 'fused' and, or, "
                             'sensors, each with its channels')
        if student_temperature <= 0:
            raise ValueError(f'student_temperature={student_temperature}: '
                             'expected above 0')
        self.student_temperature = student_temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self.heads = nn.ModuleDict({
            source: ProjectionHead(channels, num_prototypes, hidden_channels,
                                   bottleneck_channels, batch_norm)
            for source, channels in sources.items()
        })
        self._samples = SampleCount(type(self).__name__)

    def init_weights(self) -> None:
        """Start the projection heads."""
        for head in self.heads.values():
            head.init_weights()
        start_from_checkpoint(self)
        self._is_init = True

    def forward(self, features: Mapping[str, Tensor],
                weight: Mapping[str, Tensor] | None = None
                ) -> dict[str, Tensor]:
        """Logits of each source that is present.

        Args:
            features: Source -> features (..., channels); more sources than
                this head has are allowed and left out.
            weight: Source -> bool (...), False for samples that are none; a
                source left out has all. Only ``batch_norm`` uses it.

        Returns:
            Source -> float32 logits (..., K).
        """
        logits = {}
        # Absent ones too: heads may talk to those of the other processes.
        for source, head in self.heads.items():
            if source in features:
                logits[source] = head(features[source],
                                      (weight or {}).get(source))
            else:
                head.take_part()
        return logits

    def centre(self, teacher: Tensor, temperature: float,
               weight: Tensor) -> Tensor:
        """Teacher's assignments, centred over all samples of a source.

        Args:
            teacher: Logits (M, K).
            temperature: The teacher's.
            weight: (M,), 0 for samples that take no part.

        Returns:
            float32 (M, K), rows sum to 1, or are 0 without weight.
        """
        self._samples.check(*teacher.shape)
        return sinkhorn_knopp(teacher, temperature, self.sinkhorn_iterations,
                              weight)

    def matched_loss(self, student: Mapping[str, Tensor],
                     teacher: Mapping[str, Tensor], temperature: float,
                     weight: Mapping[str, Tensor]) -> Tensor:
        """CL where sample i of the student belongs to sample i of the teacher.

        Args:
            student: Source -> logits (M, K); M may differ between sources
                and processes.
            teacher: Source -> logits (M, K).
            temperature: The teacher's.
            weight: Source -> bool (M,), False for samples that are none.

        Returns:
            As :meth:`mean_over_sources`.
        """

        def term(source: str) -> tuple[Tensor, Tensor]:
            share = weight[source].float()
            target = self.centre(teacher[source], temperature, share)
            loss = self_distillation(student[source][None], target[None],
                                     self.student_temperature)[0, 0]
            return (loss * share).sum(), share.sum()

        return self.mean_over_sources(student, temperature, term)

    def mean_over_sources(
            self, present: Mapping[str, Tensor], temperature: float,
            term: Callable[[str], tuple[Tensor, Tensor]]) -> Tensor:
        """Mean of a term over the sources with weight on any process.

        Args:
            present: Has the sources that this process' batch has.
            temperature: The teacher's.
            term: Source -> weighted sum of the loss, and sum of the weights.

        Returns:
            Scalar, at least 0; 0 where nothing has weight. Connected to the
            heads of absent sources too. The mean over processes is the
            value of the joined batch.
        """
        totals, weights = [], []
        # In the order of the heads, absent sources too: Sinkhorn talks to
        # the other processes, whose batches may have other sensors.
        for source, head in self.heads.items():
            if source in present:
                total, weight = term(source)
            else:
                self._centre_nothing(head, temperature)
                # DistributedDataParallel wants a gradient for everything.
                total = torch.stack(
                    [0.0 * p.sum() for p in head.parameters()]).sum()
                weight = total.detach()
            totals.append(total)
            weights.append(weight)
        weight = torch.stack(weights)
        means = weighted_mean(torch.stack(totals), weight)
        compared = (sum_over_processes(weight) > 0).sum()
        return means.sum() / compared.clamp(min=1)

    def _centre_nothing(self, head: ProjectionHead,
                        temperature: float) -> None:
        """Take part in the other processes' Sinkhorn with no sample.

        One row of weight 0, of the lowest cosine, which moves no maximum.
        """
        row = torch.full((1, head.num_prototypes), -1.0,
                         device=head.prototypes.device)
        sinkhorn_knopp(row, temperature, self.sinkhorn_iterations,
                       row.new_zeros(1))
