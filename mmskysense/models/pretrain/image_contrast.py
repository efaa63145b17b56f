# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""MGCL, the image level: pooled features of views agree."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmskysense.registry import MODELS

from .self_distillation import self_distillation
from .source_contrast import SourceContrast


@MODELS.register_module()
class ImageContrast(SourceContrast):
    """The image-level term of MGCL: pooled features of views agree.

    On the fused map and on the map of each sensor, student against teacher
    (SkySense V2, spec section 3). Ours: global views of the teacher are what
    the student's other global views and its local views must predict, as in
    DINO; a projection head for each source.

    A view in which a sensor measured nothing takes no part in that sensor's
    term. Arguments: see :class:`SourceContrast`.
    """

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

        def term(source: str) -> tuple[Tensor, Tensor]:
            return self._pairs(
                student_global[source], teacher_global[source],
                teacher_temperature, (student_local or {}).get(source),
                (weight_global or {}).get(source),
                (weight_local or {}).get(source))

        return self.mean_over_sources(student_global, teacher_temperature,
                                      term)

    def _pairs(self, student: Tensor, teacher: Tensor, temperature: float,
               local: Tensor | None, weight: Tensor | None,
               local_weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Sum of the loss over pairs of views, and the number of pairs."""
        views, batch = teacher.shape[:2]
        if weight is None:
            weight = torch.ones(views, batch, device=teacher.device)
        weight = weight.float()
        target = self.centre(teacher.flatten(0, 1), temperature,
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
        return (loss * pair).sum(), pair.sum()
