# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From files to results in one call."""

from .map_inferencer import MapInferencer, MapSummary

__all__ = ['MapInferencer', 'MapSummary']
