# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Fusion of sensors and dates."""

from .geo_context import GeoContextPrototypes
from .temporal_fusion import MultiModalTemporalFusion

__all__ = ['GeoContextPrototypes', 'MultiModalTemporalFusion']
