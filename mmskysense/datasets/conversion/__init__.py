# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What all dataset converters share: running, tiling, checking, files."""

from .arguments import conversion_parser
from .defects import Defects
from .errors import DataError
from .files import (
    atomic_path,
    read_image,
    read_json,
    read_lines,
    require_folder,
    write_geotiff,
    write_json,
    write_png,
    write_text,
)
from .runner import (
    BAD_LIST,
    ConversionItem,
    ConversionReport,
    ItemResult,
    run_conversion,
)
from .tiling import TilePlan, check_same_size, cut, tile_name
from .verification import (
    check_label_values,
    decode_colours,
    match_files,
    verify_counts,
)

__all__ = [
    'BAD_LIST', 'ConversionItem', 'ConversionReport', 'DataError',
    'Defects', 'ItemResult', 'TilePlan', 'atomic_path', 'check_label_values',
    'check_same_size', 'conversion_parser', 'cut', 'decode_colours',
    'match_files', 'read_image', 'read_json', 'read_lines', 'require_folder',
    'run_conversion', 'tile_name', 'verify_counts', 'write_geotiff',
    'write_json', 'write_png', 'write_text'
]
