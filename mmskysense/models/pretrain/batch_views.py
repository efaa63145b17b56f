# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Which views of a batch the student and the teacher look at."""

from collections.abc import Container, Mapping
from dataclasses import replace

from torch import Tensor

from mmskysense.structures import ViewBatch


def student_views(inputs: Mapping[str, ViewBatch | None],
                  heads: Container[str]) -> dict[str, ViewBatch]:
    """All views of a batch; refuse one that lacks what the heads need.

    Args:
        inputs: Kind (``'global'``, ``'local'``) -> views or None.
        heads: Names of the heads that there are.

    Returns:
        Kind -> views, of the kinds that there are.

    Raises:
        ValueError: No global views, no local ones for QSACL, or no labels
            for ITA.
    """
    needed = ('global', 'local') if 'qsacl_head' in heads else ('global', )
    views: dict[str, ViewBatch] = {}
    for kind in ('global', 'local'):
        batch = inputs.get(kind)
        if batch is not None:
            views[kind] = batch
        elif kind in needed:
            raise ValueError(
                f'pre-training needs {" and ".join(needed)} views, found no '
                f'{kind} ones; set {kind}_views of MultiCropViews to at '
                'least 1')
        if batch is not None and batch.labels is None \
                and 'text_head' in heads:
            raise ValueError(
                f'text_head needs labels, {kind} views have none; set '
                'label_sizes of MultiCropViews and the label key of the '
                'loading step, or take text_head out')
    return views


def teacher_views(views: Mapping[str, ViewBatch], heads: Container[str],
                  local_views: int | None) -> dict[str, ViewBatch]:
    """Global views, and those local ones that QSACL asks for.

    Args:
        views: Kind -> views of the student.
        heads: Names of the heads that there are.
        local_views: Local views of a tile for QSACL; None means all.
    """
    chosen = {'global': views['global']}
    if 'qsacl_head' in heads:
        local = views['local']
        chosen['local'] = first_views(local, local_views or local.num_views)
    return chosen


def first_views(views: ViewBatch, count: int) -> ViewBatch:
    """The first ``count`` views of every tile; views are drawn alike."""

    def cut(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {sensor: x[:count] for sensor, x in tensors.items()}

    return replace(
        views, images=cut(views.images), valid=cut(views.valid),
        dates=cut(views.dates), boxes=views.boxes[:count],
        flips=views.flips[:count],
        labels=None if views.labels is None else views.labels[:count])
