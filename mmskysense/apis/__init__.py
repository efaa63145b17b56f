# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From files to results in one call."""

from .embedding_inferencer import EmbeddingInferencer, EmbeddingSummary
from .map_inferencer import MapInferencer, MapSummary
from .object_inferencer import ObjectInferencer, ObjectSummary
from .raster_inferencer import RasterInferencer
from .scene_inferencer import SceneInferencer
from .series_inferencer import SeriesInferencer
from .skysense_inferencer import SkySenseInferencer

__all__ = [
    'EmbeddingInferencer', 'EmbeddingSummary', 'MapInferencer', 'MapSummary',
    'ObjectInferencer', 'ObjectSummary', 'RasterInferencer',
    'SceneInferencer', 'SeriesInferencer',
    'SkySenseInferencer'
]
