# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How good are frozen features?"""

from .colour_maps import write_colour_maps
from .confidence import bootstrap_interval
from .config_sets import (
    build_split,
    find_dataset_config,
    is_segmentation,
    labelled_images,
)
from .dense import DenseOptions, probe_segmentation
from .extraction import extract_features
from .feature_encoder import (
    FEATURES,
    POOLINGS,
    FeatureEncoder,
    build_encoder,
)
from .few_shot_list import write_few_shot_list
from .image_sets import (
    ImageBatches,
    LabelledImages,
    check_split,
    read_image_list,
)
from .linear import LinearProbe, linear_probe
from .multi_label import (
    mean_average_precision,
    micro_average_precision,
    probe_multi_label,
)
from .neighbours import nearest_neighbour_scores
from .probe import METHODS, ProbeOptions, judge_features, probe_images
from .record import installed_versions, write_record
from .subsets import stratified_subset

__all__ = [
    'DenseOptions', 'FEATURES', 'FeatureEncoder', 'ImageBatches',
    'LabelledImages', 'LinearProbe', 'METHODS', 'POOLINGS',
    'ProbeOptions',
    'bootstrap_interval', 'build_encoder', 'build_split', 'check_split',
    'extract_features', 'find_dataset_config', 'installed_versions',
    'is_segmentation', 'judge_features', 'labelled_images', 'linear_probe',
    'mean_average_precision', 'micro_average_precision',
    'nearest_neighbour_scores', 'probe_images', 'probe_multi_label',
    'probe_segmentation', 'read_image_list', 'stratified_subset',
    'write_colour_maps', 'write_few_shot_list', 'write_record'
]
