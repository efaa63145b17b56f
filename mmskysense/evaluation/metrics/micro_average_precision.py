# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Average precision over all pairs of image and class together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmskysense.registry import METRICS


@METRICS.register_module()
class MicroAveragePrecision(BaseMetric):
    """Micro-averaged average precision of multi-label classification.

    All decisions "this image has this class" form one ranking, so frequent
    classes weigh more than in mmpretrain's ``AveragePrecision``, the mean
    over classes. Work on BigEarthNet calls either of them mAP. Equal scores
    form one step of the curve, as in scikit-learn.

    Args:
        collect_device: Of mmengine's ``BaseMetric``.
        prefix: Likewise; ``'multi-label'`` by default.

    Data samples have ``pred_score`` (classes,) and ``gt_score`` (classes,)
    of 0 and 1. Result: ``micro_mAP`` in percent.

    Raises:
        ValueError: No image has a class.
    """

    default_prefix = 'multi-label'

    def __init__(self, collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)

    def process(self, data_batch: Any,
                data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the scores of a batch.

        Args:
            data_batch: Not used.
            data_samples: As described in the class.
        """
        for sample in data_samples:
            self.results.append((sample['pred_score'].float().cpu(),
                                 sample['gt_score'].cpu() > 0))

    def compute_metrics(self, results: list[tuple[Tensor, Tensor]]
                        ) -> dict[str, float]:
        """Rank all decisions of all images.

        Args:
            results: Scores and truths, each (classes,), of the images.
        """
        scores, truths = (torch.cat(parts)
                          for parts in zip(*results, strict=True))
        return dict(micro_mAP=100 * average_precision(scores, truths))


def average_precision(scores: Tensor, truths: Tensor) -> float:
    """Area under the steps of the precision-recall curve.

    Args:
        scores: float (N,), higher means more likely.
        truths: bool (N,).

    Returns:
        sum over steps of (R_n - R_(n-1)) * P_n, 0 to 1.

    Raises:
        ValueError: Nothing is true.

    Example:
        >>> average_precision(torch.tensor([.9, .8, .7]),
        ...                   torch.tensor([True, False, True]))
        0.8333...
    """
    total = int(truths.sum())
    if not total:
        raise ValueError('MicroAveragePrecision: expected at least one image '
                         'with a class, found none in '
                         f'{len(truths)} decisions')
    order = torch.argsort(scores, descending=True)
    scores, hits = scores[order], truths[order].double().cumsum(0)
    last = torch.ones_like(scores, dtype=torch.bool)
    last[:-1] = scores[1:] != scores[:-1]
    ranks = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    hits, ranks = hits[last], ranks[last]
    steps = torch.diff(hits, prepend=hits.new_zeros(1)) / total
    return float((steps * hits / ranks).sum())
