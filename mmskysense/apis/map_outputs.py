# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What is written of a map's blended scores."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.raster import (
    BlendedRows,
    MapWriter,
    ProbabilityWriter,
    check_output,
)
from mmskysense.raster.writer import NODATA, GeoTIFFWriter, UncertaintyWriter

from .segmentor import WindowSegmentor

#: Kinds of uncertainty, and what each measures.
UNCERTAINTIES = {
    'entropy': 'entropy of the class probabilities, as a share of the '
    'largest possible',
    'variance': 'variance of the class probabilities over flipped views, '
    'summed over classes, as a share of the largest possible',
}


#: How probabilities are stored.
PROBABILITY_TYPES = ('uint8', 'uint16')


@dataclass(frozen=True)
class MapOutputs:
    """The files of one map.

    Args:
        map: The class map.
        probabilities: Class probabilities, or None.
        uncertainty: Uncertainty, or None.
        measure: Kind of uncertainty, of :data:`UNCERTAINTIES`.
        probability_type: Data type of the probabilities, of
            :data:`PROBABILITY_TYPES`.
    """

    map: Path
    probabilities: Path | None = None
    uncertainty: Path | None = None
    measure: str = 'entropy'
    probability_type: str = 'uint8'

    def __post_init__(self) -> None:
        if self.measure not in UNCERTAINTIES:
            raise ValueError(f"uncertainty measure '{self.measure}': expected "
                             f'one of {tuple(UNCERTAINTIES)}')
        if self.probability_type not in PROBABILITY_TYPES:
            raise ValueError(f"probability_type='{self.probability_type}': "
                             f'expected one of {PROBABILITY_TYPES}')
        paths = list(self.paths.values())
        if len({path.resolve() for path in paths}) < len(paths):
            raise ValueError(f'{self.map}: the map and the probabilities '
                             'need different names, the uncertainty too')

    @property
    def paths(self) -> dict[str, Path]:
        """The files by name, the map first."""
        found = dict(map=self.map, probabilities=self.probabilities,
                     uncertainty=self.uncertainty)
        return {name: Path(path) for name, path in found.items()
                if path is not None}

    def check(self, inputs: Sequence[str | os.PathLike]) -> None:
        """Refuse a file that could not be written, or that is an input."""
        for path in self.paths.values():
            check_output(path, inputs)

    def remove_leftovers(self) -> None:
        """Temporary folders of writers that were killed in the middle."""
        for path in self.paths.values():
            for folder in path.parent.glob(f'.{path.name}.partial-*'):
                shutil.rmtree(folder, ignore_errors=True)

    def bands(self, num_classes: int) -> dict[str, int]:
        """Name of each file -> its bands."""
        count = dict(map=1, probabilities=num_classes, uncertainty=1)
        return {name: count[name] for name in self.paths}

    @property
    def dtypes(self) -> dict[str, str]:
        """Data types other than uint8, by name of the file."""
        return dict(probabilities=self.probability_type)

    def encode(self, rows: BlendedRows, segmentor: WindowSegmentor
               ) -> dict[str, np.ndarray]:
        """Blended rows as (bands, rows, columns) of each file."""
        scores = rows.scores[:segmentor.num_channels]
        result = dict(map=np.where(
            rows.valid, segmentor.classify(scores), np.uint8(NODATA))[None])
        if self.probabilities is None and (self.uncertainty is None
                                           or self.measure != 'entropy'):
            soft = None
        else:
            soft = segmentor.probabilities(scores)
        if self.probabilities is not None:
            assert soft is not None
            result['probabilities'] = ProbabilityWriter.encode(
                soft, rows.valid, self.probability_type)
        if self.uncertainty is not None:
            if self.measure == 'entropy':
                assert soft is not None
                share = entropy_share(soft)
            else:
                share = rows.scores[-1]
            result['uncertainty'] = UncertaintyWriter.encode(share[None],
                                                             rows.valid)
        return result

    def writers(self, height: int, width: int, segmentor: WindowSegmentor,
                tags: Mapping[str, Any], georeference: Mapping[str, Any]
                ) -> dict[str, Callable[[], GeoTIFFWriter]]:
        """Name of each file -> what opens its writer."""
        names = segmentor.class_names
        makers: dict[str, Callable[[Path], GeoTIFFWriter]] = dict(
            map=lambda path: MapWriter(
                path, height, width, names, segmentor.palette, tags=tags,
                **georeference),
            probabilities=lambda path: ProbabilityWriter(
                path, height, width, names, tags=tags,
                dtype=self.probability_type, **georeference),
            uncertainty=lambda path: UncertaintyWriter(
                path, height, width, [self.measure], tags=dict(
                    tags, UNCERTAINTY=UNCERTAINTIES[self.measure]),
                **georeference))
        return {name: partial(makers[name], path)
                for name, path in self.paths.items()}


def entropy_share(probabilities: np.ndarray) -> np.ndarray:
    """Entropy as a share of that of equal probabilities.

    Args:
        probabilities: Float (C, H, W), in 0..1, sums of 1; C of 2 or more.

    Returns:
        Float (H, W), 0 where one class is certain, 1 where all are alike.
    """
    logarithm = np.log(np.maximum(probabilities, 1e-12))
    entropy = -(probabilities * logarithm).sum(axis=0)
    return np.clip(entropy / np.log(len(probabilities)), 0, 1)
