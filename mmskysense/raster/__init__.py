# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Rasters of any size: windows, reading, blending, writing; no model."""

from .band_contract import RasterContractError
from .blend import BlendedRows, StreamingBlender, blend_weights
from .grid import GridWindow, WindowGrid, window_offsets
from .reader import RasterReader
from .window_source import SourceWindow, WindowSource
from .writer import MapWriter, ProbabilityWriter, check_output

__all__ = [
    'BlendedRows', 'GridWindow', 'MapWriter', 'ProbabilityWriter',
    'RasterContractError', 'RasterReader', 'SourceWindow', 'StreamingBlender',
    'WindowGrid', 'WindowSource', 'blend_weights', 'check_output',
    'window_offsets'
]
