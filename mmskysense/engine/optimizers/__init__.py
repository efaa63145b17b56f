# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
from .cpu_amp import CPUAmpOptimWrapper
from .layer_decay import LayerDecayOptimWrapperConstructor
from .trainable_only import TrainableOnlyOptimWrapperConstructor

__all__ = [
    'CPUAmpOptimWrapper', 'LayerDecayOptimWrapperConstructor',
    'TrainableOnlyOptimWrapperConstructor'
]
