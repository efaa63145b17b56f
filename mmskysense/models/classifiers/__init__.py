# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Classifiers on mmpretrain's; import this package in a config that uses one.

Not imported by ``mmskysense.models``: mmpretrain is optional, and slow to
import.
"""

from .dated_image_classifier import DatedImageClassifier

__all__ = ['DatedImageClassifier']
