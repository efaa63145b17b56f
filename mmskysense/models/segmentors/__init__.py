# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Segmentors on mmseg's; import this package in a config that uses one.

Not imported by ``mmskysense.models``: mmseg is optional, and slow to import.
"""

from .dated_encoder_decoder import DatedEncoderDecoder

__all__ = ['DatedEncoderDecoder']
