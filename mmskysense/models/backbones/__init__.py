# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Backbones."""

from .architectures import ARCHITECTURES, Architecture
from .lora import LoRASkySenseV2
from .skysense_v2 import SkySenseV2

__all__ = ['ARCHITECTURES', 'Architecture', 'LoRASkySenseV2',
           'SkySenseV2']
