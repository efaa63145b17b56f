# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a user has without this project, judged in the same way."""

from .colour_forest import colour_forest, colour_statistics
from .imagenet import make_imagenet_encoder
from .lightly_dino import DinoOptions, train_dino
from .vision_transformer import ViTFeatures, make_vision_transformer

__all__ = [
    'DinoOptions', 'ViTFeatures', 'colour_forest', 'colour_statistics',
    'make_imagenet_encoder', 'make_vision_transformer', 'train_dino'
]
