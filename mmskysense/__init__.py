# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SkySense V2 as an OpenMMLab plugin.

Public classes are resolved on first use, so that importing the package needs
nothing but mmengine and ``python -m mmskysense.doctor`` can run, and explain,
on a machine where torch is missing or broken.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .version import __version__

if find_spec('mmengine') is not None:
    # custom_imports=dict(imports=['mmskysense']) must make the scope known.
    from . import registry  # noqa: F401

_PUBLIC = {
    'SkySenseV2': 'mmskysense.models',
    'LoRASkySenseV2': 'mmskysense.models',
    'MultiModalTemporalFusion': 'mmskysense.models',
    'SkySenseV2Pretrainer': 'mmskysense.models',
    'QSACLHead': 'mmskysense.models',
    'MultiSensorDataPreprocessor': 'mmskysense.models',
    'QSACLHook': 'mmskysense.engine',
    'register_all_modules': 'mmskysense.utils',
}

__all__ = ['__version__', *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public class the first time it is asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mmskysense' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)
