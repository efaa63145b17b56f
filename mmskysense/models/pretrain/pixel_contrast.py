# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""MGCL, the pixel level: the same place in two views agrees."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmskysense.registry import MODELS

from .shared_places import SharedPlaces
from .source_contrast import SourceContrast


@MODELS.register_module()
class PixelContrast(SourceContrast):
    """The pixel-level term of MGCL: the same ground, in two views.

    A place of a student's view against what the teacher sees of the same
    ground in another view; in series, at the same date (SkySense V2, spec
    section 3). The views' boxes and flips say where that is, exactly. Ours:
    CL and its heads as everywhere in this project, Sinkhorn over the shared
    places of the whole batch, how pairs of views and places are drawn (see
    :func:`shared_places`). Arguments: see :class:`SourceContrast`.
    """

    def loss(self, teacher_head: 'PixelContrast',
             places: Mapping[str, Sequence[SharedPlaces]],
             teacher_temperature: float) -> Tensor:
        """Agreement of shared places.

        Args:
            teacher_head: The teacher's copy of this head.
            places: Source -> shared places of each kind of view.
            teacher_temperature: Divides the teacher's logits.

        Returns:
            Scalar, at least 0; 0 where no two views share ground.
        """
        places = {s: p for s, p in places.items() if s in self.heads}

        def samples(field: str) -> dict[str, Tensor]:
            return {
                source: torch.cat([
                    getattr(part, field).flatten(0, 1) for part in parts
                ]) for source, parts in places.items()
            }

        shared = samples('shared')
        student = self(samples('student'), shared)
        with torch.no_grad():
            teacher = teacher_head(samples('teacher'), shared)
        return self.matched_loss(student, teacher, teacher_temperature,
                                 shared)
