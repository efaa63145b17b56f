# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Layers of the encoder, one idea a file."""

from .attention import attend
from .feed_forward import FeedForward
from .moe import (
    MixtureOfExperts,
    balance_loss,
    router_z_loss,
    share_balance,
    take_choices,
)
from .patch_merging import AdaptivePatchMerging
from .prompts import ModalityPrompts
from .rotary import RotaryPosition2D, rotate
from .swin_v2 import SwinV2Block
from .tokenizer import Tokenizer
from .transformer import GlobalBlock
from .wavelength_tokenizer import WavelengthTokenizer

__all__ = [
    'AdaptivePatchMerging', 'FeedForward', 'GlobalBlock', 'MixtureOfExperts',
    'ModalityPrompts', 'RotaryPosition2D', 'SwinV2Block', 'Tokenizer',
    'WavelengthTokenizer', 'attend', 'balance_loss', 'rotate',
    'router_z_loss', 'share_balance', 'take_choices'
]
