# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Rasters of any size: windows, reading, blending, writing; no model."""

from .band_contract import RasterContractError
from .blend import BlendedRows, StreamingBlender, blend_weights
from .grid import (
    GridWindow,
    Region,
    WindowGrid,
    WindowSequence,
    window_offsets,
)
from .partial_rows import PartialRows
from .reader import RasterReader
from .window_source import SourceWindow, WindowSource, read_ahead
from .writer import (
    MapWriter,
    ProbabilityWriter,
    UncertaintyWriter,
    check_output,
)

__all__ = [
    'BlendedRows', 'GridWindow', 'MapWriter', 'PartialRows',
    'ProbabilityWriter', 'RasterContractError', 'RasterReader', 'Region',
    'SourceWindow', 'StreamingBlender', 'UncertaintyWriter', 'WindowGrid',
    'WindowSequence', 'WindowSource', 'blend_weights', 'check_output',
    'read_ahead', 'window_offsets'
]
