# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Draw samples by class, so that rare classes are seen."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.logging import print_log

from mmskysense.registry import DATA_SAMPLERS

from .class_pixels import count_class_pixels, read_class_pixels

# DAFormer has 0.01 for the nineteen classes of Cityscapes. With classes that
# cover half of all pixels, as in land cover, that would never draw them.
_TEMPERATURE = 0.1


@DATA_SAMPLERS.register_module()
class RareClassSampler(InfiniteSampler):
    """Draw a class, then a sample that has it; without end.

    For segmentation, rare class sampling: class c, which has the share f_c
    of all labelled pixels, is drawn with a probability proportional to
    exp((1 - f_c) / temperature). Source: Hoyer et al., DAFormer, CVPR 2022,
    arXiv 2111.14887; the default temperature is ours.
    For scene classes (data sets with ``get_cat_ids``) f_c is the share of
    labels, and by default all classes are equally likely. Classes without
    a sample are never drawn. In place of mmengine's ``InfiniteSampler``,
    for loops that count iterations.

    A random crop can miss the class for which its image was drawn.

    Args:
        dataset: Of mmengine or a host.
        temperature: The smaller, the more often rare classes; ``inf``
            makes all classes equally likely. None: 0.1 for segmentation,
            ``inf`` for scenes.
        min_pixels: Pixels that a label needs to count as having a class;
            classes that no label has so many of need one.
        counts: File of ``tools/dataset_converters/count_class_pixels.py``;
            None reads all labels at the start, in each process.
        shuffle: Only True.
        seed: Of the draw; None draws one, equal in all processes.

    Raises:
        ValueError: An option is impossible, or no sample has a class.

    Example::

        train_dataloader = dict(sampler=dict(
            type='mmskysense.RareClassSampler', counts='class_pixels.json'))
    """

    def __init__(self,
                 dataset: Any,
                 temperature: float | None = None,
                 min_pixels: int = 1,
                 counts: str | os.PathLike | None = None,
                 shuffle: bool = True,
                 seed: int | None = None) -> None:
        if temperature is not None and not temperature > 0:
            raise ValueError(f'RareClassSampler: temperature={temperature}: '
                             'expected above 0')
        if min_pixels < 1 or not shuffle:
            raise ValueError(
                f'RareClassSampler: min_pixels={min_pixels}, shuffle='
                f'{shuffle}: expected at least one pixel, and shuffle=True '
                'since samples are drawn')
        super().__init__(dataset, shuffle=True, seed=seed)
        if not len(dataset):
            raise ValueError('RareClassSampler: the data set has no samples')
        # mmdet's samples have the key too, with nothing in it.
        if dataset.get_data_info(0).get('seg_map_path'):
            table = count_class_pixels(dataset) if counts is None else \
                read_class_pixels(dataset, counts)
            temperature = temperature or _TEMPERATURE
        elif counts is not None:
            raise ValueError(f'RareClassSampler: counts={counts}: samples '
                             'have no label map; leave it out')
        else:
            table = _scene_classes(dataset)
            temperature = temperature or math.inf
        if not table.any():
            raise ValueError('RareClassSampler: no sample has a labelled '
                             'pixel or a class')
        shares = table.sum(0) / table.sum()
        present = shares > 0
        likely = np.where(present, np.exp(-shares / temperature), 0)
        #: Probability of each class, float64 (classes,).
        self.probabilities = likely / likely.sum()
        self.samples_of_class = [
            np.flatnonzero(column >= min(min_pixels, max(column.max(), 1)))
            for column in table.T
        ]
        names = dataset.metainfo.get('classes') or range(len(shares))
        told = ', '.join(
            f'{name} {share:.3%} -> {drawn:.1%}' for name, share, drawn in zip(
                names, shares, self.probabilities, strict=True))
        print_log(f'RareClassSampler, share of labels -> of draws: {told}',
                  'current')

    def _infinite_indices(self) -> Iterator[int]:
        """Yield indices of samples without end; equal in all processes."""
        generator = torch.Generator().manual_seed(self.seed)
        probabilities = torch.from_numpy(self.probabilities)
        while True:
            chosen = int(torch.multinomial(probabilities, 1,
                                           generator=generator))
            samples = self.samples_of_class[chosen]
            place = torch.randint(len(samples), (1, ), generator=generator)
            yield int(samples[int(place)])


def _scene_classes(dataset: Any) -> np.ndarray:
    """1 where a sample has a class, int64 (samples, classes)."""
    table = np.zeros((len(dataset), len(dataset.metainfo['classes'])),
                     dtype=np.int64)
    for index in range(len(dataset)):
        table[index, list(dataset.get_cat_ids(index))] = 1
    return table
