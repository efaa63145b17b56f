# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Hooks."""

from .panel_visualization_hook import PanelVisualizationHook
from .probing_hook import ProbingHook
from .qsacl_hook import QSACLHook

__all__ = ['PanelVisualizationHook', 'ProbingHook', 'QSACLHook']
