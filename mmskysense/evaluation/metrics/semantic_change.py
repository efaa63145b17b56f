# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SCS, the semantic change score of DynamicEarthNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from mmskysense.registry import METRICS


@METRICS.register_module()
class SemanticChangeMetric(BaseMetric):
    """SCS = (BC + SC) / 2 over pairs of class maps (Toker et al., CVPR 2022).

    - BC: IoU of "has changed", where a pixel has changed if its class in the
      later map is not that in the earlier one.
    - SC: mean IoU of the later map's classes over the pixels that have
      changed in truth; classes that do not occur there do not count.

    Both are taken over all pairs together, as in the authors' evaluation:
    there a pixel that is ignored in one month and labelled in the other
    counts as changed for BC.

    Args:
        ignore_index: Class id of pixels without a label.
        skip_ignored: Leave pixels out of BC that are ignored in either map;
            not what the authors do.
        collect_device: Of mmengine's ``BaseMetric``.
        prefix: Likewise.

    Data samples have ``pred_sem_seg`` and ``gt_sem_seg``, both (2, H, W):
    the earlier and the later map. Result: ``SCS``, ``BC``, ``SC`` in percent.

    Raises:
        ValueError: Maps of another form, or classes the dataset lacks.
    """

    def __init__(self,
                 ignore_index: int = 255,
                 skip_ignored: bool = False,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)
        self.ignore_index = ignore_index
        self.skip_ignored = skip_ignored

    def process(self, data_batch: Any,
                data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count the pixels of a batch of pairs.

        Args:
            data_batch: Not used.
            data_samples: As described in the class.
        """
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            truth, found = (_maps(sample, key)
                            for key in ('gt_sem_seg', 'pred_sem_seg'))
            if truth.shape != found.shape:
                raise ValueError(
                    'SemanticChangeMetric: expected a prediction of the '
                    f'label\'s size {tuple(truth.shape)}, found '
                    f'{tuple(found.shape)}')
            self.results.append(self._count(truth, found, classes))

    def _count(self, truth: torch.Tensor, found: torch.Tensor,
               classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Confusions of change (2, 2) and of classes where it changed."""
        if int(found.max()) >= classes or int(found.min()) < 0:
            raise ValueError(
                f'SemanticChangeMetric: expected classes 0 to {classes - 1} '
                f'in the prediction, found {int(found.min())} to '
                f'{int(found.max())}')
        changed = truth[0] != truth[1]
        predicted = found[0] != found[1]
        labelled = truth != self.ignore_index
        counted = labelled.all(0) if self.skip_ignored else torch.ones_like(
            changed)
        change = _confusion(changed[counted], predicted[counted], 2)
        where = changed & labelled[1]
        if self.skip_ignored:
            where &= labelled[0]
        return change, _confusion(truth[1][where], found[1][where], classes)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of all pairs."""
        change = np.sum([result[0] for result in results], axis=0)
        semantic = np.sum([result[1] for result in results], axis=0)
        union = change[1, 1] + change[0, 1] + change[1, 0]
        binary = change[1, 1] / max(int(union), 1)
        right = semantic.diagonal()
        unions = semantic.sum(0) + semantic.sum(1) - right
        occurs = semantic.sum(1) > 0
        score = (right / np.maximum(unions, 1)).sum() / max(occurs.sum(), 1)
        return {
            'SCS': float(50 * (binary + score)),
            'BC': float(100 * binary),
            'SC': float(100 * score)
        }


def _maps(sample: Mapping[str, Any], key: str) -> torch.Tensor:
    maps = sample[key]['data']
    if maps.dim() != 3 or len(maps) != 2:
        raise ValueError(
            f'SemanticChangeMetric: expected {key} of two maps (2, H, W), '
            f'found {tuple(maps.shape)}')
    return maps.long().cpu()


def _confusion(truth: torch.Tensor, found: torch.Tensor,
               classes: int) -> np.ndarray:
    """Pixels by truth (rows) and prediction (columns)."""
    code = truth.long() * classes + found.long()
    return torch.bincount(
        code, minlength=classes**2).view(classes, classes).numpy()
