# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Weights of other networks as a start of the encoder's."""

from .convert import convert_weights
from .layouts import LAYOUTS
from .report import WeightsReport

__all__ = ['LAYOUTS', 'WeightsReport', 'convert_weights']
