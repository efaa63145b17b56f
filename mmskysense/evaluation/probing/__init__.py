# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How good are frozen features?"""

from .confidence import bootstrap_interval
from .extraction import extract_features
from .frozen_encoder import FEATURES, FrozenEncoder, build_encoder
from .image_sets import (
    ImageBatches,
    LabelledImages,
    check_split,
    read_image_list,
)
from .linear import LinearProbe, linear_probe
from .neighbours import nearest_neighbour_scores
from .probe import METHODS, ProbeOptions, judge_features, probe_images
from .record import installed_versions, write_record
from .subsets import stratified_subset

__all__ = [
    'FEATURES', 'FrozenEncoder', 'ImageBatches', 'LabelledImages',
    'LinearProbe', 'METHODS', 'ProbeOptions', 'bootstrap_interval',
    'build_encoder', 'check_split', 'extract_features', 'installed_versions',
    'judge_features', 'linear_probe', 'nearest_neighbour_scores',
    'probe_images', 'read_image_list', 'stratified_subset', 'write_record'
]
