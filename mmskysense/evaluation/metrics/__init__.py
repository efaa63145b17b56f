# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Metrics that no stock host has."""

from .micro_average_precision import MicroAveragePrecision
from .semantic_change import SemanticChangeMetric

__all__ = ['MicroAveragePrecision', 'SemanticChangeMetric']
