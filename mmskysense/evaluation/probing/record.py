# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Writing a probe's figures so that they can be checked later."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_LIBRARIES = {
    'torch': 'torch', 'numpy': 'numpy', 'scikit-learn': 'scikit-learn',
    'mmengine': 'onedl-mmengine', 'timm': 'timm', 'lightly': 'lightly'
}


def installed_versions() -> dict[str, str]:
    """Versions of this package, of Python and of what figures depend on."""
    from mmskysense.version import __version__
    found = dict(mmskysense=__version__, python=platform.python_version())
    for name, distribution in _LIBRARIES.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


def write_record(path: str | os.PathLike, record: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all.

    Args:
        path: File; its folder is made.
        record: What JSON can hold.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f'{target.name}.{os.getpid()}.part')
    try:
        aside.write_text(json.dumps(record, indent=1) + '\n')
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
