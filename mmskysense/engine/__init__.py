# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What runs around a model: launching, checkpoints, optimisers, hooks."""

from .checkpoint import check_checkpoint, read_checkpoint
from .hooks import *  # noqa: F403
from .launch import enable_amp, prepare_launch
from .optimizers import CPUAmpOptimWrapper, LayerDecayOptimWrapperConstructor

__all__ = [
    'CPUAmpOptimWrapper', 'LayerDecayOptimWrapperConstructor',
    'check_checkpoint', 'enable_amp', 'prepare_launch',
    'read_checkpoint'
]
