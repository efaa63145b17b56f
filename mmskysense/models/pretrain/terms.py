# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The terms of the loss: heads of both branches over encoded views."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmskysense.structures import ViewBatch

from ..across_processes import gather_over_processes
from .effective_rank import effective_rank
from .encoded_views import EncodedViews
from .koleo import koleo_loss
from .shared_places import SharedPlaces, partners, shared_places
from .source_contrast import FUSED

Views = Mapping[str, EncodedViews]


class QueryOutputs(NamedTuple):
    """What the queries give, for the loss and for looking at.

    Args:
        student: Kind of view -> logits (V, N, m, K).
        teacher: Kind of view -> logits (V, N, m, K).
        attention: The student's in global views (V * N, m, h, w), or None.
    """

    student: dict[str, Tensor]
    teacher: dict[str, Tensor]
    attention: Tensor | None


def query_outputs(student_head: nn.Module, teacher_head: nn.Module,
                  student: Views, teacher: Views,
                  with_attention: bool) -> QueryOutputs:
    """Queries over the fused maps of views, in both branches.

    Of each kind, as many views as the teacher has encoded.
    """
    own, other, attention = {}, {}, None
    for kind, views in student.items():
        shape = tuple(teacher[kind].boxes.shape[:2])
        wanted = with_attention and kind == 'global'
        fused = views.sources[FUSED].maps[:shape[0], :, 0].flatten(0, 1)
        seen = teacher[kind].seen[FUSED].flatten()
        measured = teacher[kind].fused_measured
        z, weights = student_head(fused, wanted, seen, measured)
        attention = weights if wanted else attention
        own[kind] = z.unflatten(0, shape)
        with torch.no_grad():
            target, _ = teacher_head(teacher[kind].fused, False, seen,
                                     measured)
        other[kind] = target.unflatten(0, shape)
    return QueryOutputs(own, other, attention)


def qsacl_term(head: Any, queries: QueryOutputs, student: Views,
               temperature: float) -> Tensor:
    """QSACL: queries of global and local views agree, both ways."""
    seen = [student[kind].seen[FUSED][:len(queries.student[kind])]
            for kind in ('global', 'local')]
    return head.loss(
        queries.student['global'], queries.student['local'],
        queries.teacher['global'], queries.teacher['local'], temperature,
        *seen)


def image_term(student_head: Any, teacher_head: nn.Module, student: Views,
               teacher: Views, temperature: float) -> Tensor:
    """MGCL, image level: pooled features of views agree."""
    with torch.no_grad():
        target = teacher_head(teacher['global'].pooled,
                              teacher['global'].seen)
    local = student.get('local')
    return student_head.loss(
        student_head(student['global'].pooled, student['global'].seen),
        target, temperature,
        None if local is None else student_head(local.pooled, local.seen),
        student['global'].seen, None if local is None else local.seen)


def places_of_sources(student: Views, teacher: Views, max_places: int
                      ) -> dict[str, list[SharedPlaces]]:
    """Ground that the student's views share with the teacher's global ones.

    Args:
        student: Kind of view -> encoded views.
        teacher: With ``'global'`` at least.
        max_places: At most so many places of each view.

    Returns:
        Source -> shared places of each kind of view; sources that one of
        the kinds lacks, and kinds without another view, are left out.
    """
    others = teacher['global']
    found: dict[str, list[SharedPlaces]] = {}
    for kind, views in student.items():
        teachers = partners(len(views.boxes), len(others.boxes),
                            kind == 'global')
        if not teachers:
            continue
        for source in views.sources:
            if source in others.sources:
                found.setdefault(source, []).append(
                    shared_places(views, others, source, teachers,
                                  max_places))
    return found


def text_term(head: Any, student: Views,
              views: Mapping[str, ViewBatch]) -> Tensor:
    """ITA: the student's fused pixels point to their classes' names."""
    return head.loss([(student[kind].sources[FUSED], views[kind].labels)
                      for kind in views])


def move_prototypes(geo_context: Any, teacher: Views,
                    views: Mapping[str, ViewBatch]) -> None:
    """Geo-context prototypes follow the teacher's global views."""
    encoded, batch = teacher['global'], views['global']
    locations = batch.locations
    geo_context.update(
        encoded.without_context,
        None if locations is None else locations.repeat(batch.num_views, 1),
        encoded.sources[FUSED].measured[:, :, 0].flatten(0, 1))


def koleo_term(student: Views, sensors: Sequence[str]) -> Tensor:
    """KoLeo on each global view's features, of each sensor and fused.

    On the fused features alone it leaves the encoder's free to differ in a
    handful of directions (ours).

    Args:
        student: With ``'global'``.
        sensors: All that the encoder takes. Batches of other processes may
            have some that this one's lacks, and neighbours are looked for
            together: an absent one takes part as nothing measured.

    Returns:
        Mean over views of the fused features and of each sensor that two
        samples or more have, on any process.
    """
    views = student['global']
    known = next(pooled for source, pooled in views.pooled.items()
                 if source != FUSED)
    absent = torch.zeros_like(known), torch.zeros_like(views.seen[FUSED])
    losses, present = [], []
    for source in (*sensors, FUSED):
        for features, measured in zip(
                views.pooled.get(source, absent[0]),
                views.seen.get(source, absent[1]), strict=True):
            losses.append(koleo_loss(features, measured))
            present.append(gather_over_processes(measured.byte()).sum() > 1)
    return torch.stack(losses).sum() / torch.stack(
        present).sum().clamp(min=1)


@torch.no_grad()
def feature_dimensions(teacher: Views) -> dict[str, Tensor]:
    """In how many directions the features of each source differ.

    See :func:`effective_rank`. A spread of 1 does not tell: features that
    differ by colour alone have it too.

    Returns:
        ``feature_dimensions_SOURCE`` -> scalar, 1 or more; at most the
        number of views, and of channels.
    """
    views = teacher['global']
    return {
        f'feature_dimensions_{source}': effective_rank(
            pooled.flatten(0, 1), views.seen[source].flatten())
        for source, pooled in views.pooled.items()
    }


@torch.no_grad()
def feature_spread(teacher: Views) -> Tensor:
    """Deviation over tiles of unit fused features, times sqrt(D)."""
    features = teacher['global'].pooled[FUSED]
    unit = nn.functional.normalize(features.float(), dim=-1)
    deviation = unit.flatten(0, 1).std(0, unbiased=False).mean()
    return deviation * features.shape[-1]**0.5
