# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
from .cpu_amp import CPUAmpOptimWrapper

__all__ = ['CPUAmpOptimWrapper']
