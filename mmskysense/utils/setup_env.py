# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Registration of this package's modules and of its optional hosts."""

import datetime
import warnings
from importlib import import_module
from types import ModuleType

# Packages whose import registers something; models before the rest, so that
# an import error names the part a user meets first.
_REGISTERING = ('models', 'datasets', 'engine', 'evaluation', 'visualization',
                'apis')

_DISTRIBUTIONS = {
    'mmengine': 'onedl-mmengine',
    'mmcv': 'onedl-mmcv',
    'mmseg': 'onedl-mmsegmentation',
    'mmdet': 'onedl-mmdetection',
    'mmpretrain': 'onedl-mmpretrain',
    'mmrotate': 'onedl-mmrotate',
    'sklearn': 'scikit-learn',
    'js_lib_leaflet': 'django-js-lib-leaflet',
}


def require(import_name: str, purpose: str) -> ModuleType:
    """Import an optional library or say in one line what to install.

    Args:
        import_name (str): Module to import, e.g. ``'mmseg'``.
        purpose (str): What it is needed for, as the end of "needed for ...",
            e.g. ``'semantic segmentation'``.

    Returns:
        ModuleType: The imported module.

    Raises:
        ImportError: If the library is missing, or is there and fails while
            it is imported (mmdet without mmcv's compiled ops does).

    Example:
        >>> from mmskysense.utils import require
        >>> require('math', 'an example').sqrt(4.0)
        2.0
    """
    try:
        return import_module(import_name)
    except ImportError as error:
        top = import_name.partition('.')[0]
        name = _DISTRIBUTIONS.get(top, top)
        if isinstance(error, ModuleNotFoundError) and \
                (error.name or '').partition('.')[0] == top:
            raise ImportError(
                f"'{import_name}' is not installed but is needed for "
                f'{purpose}: run `pip install {name} -c '
                'requirements/constraints.txt`') from error
        fix = 'run `python -m mmskysense.doctor` to see what is wrong'
        if 'mmcv._ext' in str(error):
            fix = ('it needs mmcv with compiled ops: run `make test` once, or '
                   '`pip install --no-build-isolation --no-cache-dir '
                   '--force-reinstall --no-deps onedl-mmcv` after torch')
        raise ImportError(f"'{import_name}', needed for {purpose}, is "
                          f'installed but fails to import ({error}): {fix}'
                          ) from error


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import every part of mmskysense that registers something.

    Not needed with ``custom_imports = dict(imports=['mmskysense'])`` in a
    config; for scripts that build modules themselves, as in the other
    OpenMMLab packages.

    Args:
        init_default_scope (bool): Make ``mmskysense`` the default scope of
            mmengine's registries. If another scope is current, a warning is
            given and a new one is made current. Defaults to True.
    """
    for name in _REGISTERING:
        import_module(f'mmskysense.{name}')
    if not init_default_scope:
        return

    from mmengine.registry import DefaultScope
    current = DefaultScope.get_current_instance()
    if current is None or not DefaultScope.check_instance_created(
            'mmskysense'):
        DefaultScope.get_instance('mmskysense', scope_name='mmskysense')
        return
    if current.scope_name != 'mmskysense':
        warnings.warn(
            f'The current default scope "{current.scope_name}" is not '
            '"mmskysense"; register_all_modules makes it "mmskysense". Pass '
            'init_default_scope=False to keep the current one.',
            stacklevel=2)
        # A scope object is found by name and cannot be made current again,
        # hence a fresh name.
        stamp = datetime.datetime.now().strftime('%Y%m%d_%H%M%S_%f')
        DefaultScope.get_instance(
            f'mmskysense-{stamp}', scope_name='mmskysense')
