# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Parts of a model out of a checkpoint, strictly."""

import os

from mmengine.logging import print_log
from torch import nn

from .checkpoint import CheckpointError, name_a_few, read_checkpoint


def load_part_strictly(module: nn.Module, path: str | os.PathLike,
                       prefix: str = '') -> None:
    """Load a module out of a checkpoint of something larger.

    Args:
        module: Such as a fusion transformer.
        path: File, or an address that mmengine can open.
        prefix: What stands before the module's own names in the checkpoint,
            such as ``'teacher.fusion'``.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: Unreadable, nothing under the prefix, or names or
            shapes that are not the module's; nothing is loaded then.
    """
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    content = read_checkpoint(os.fspath(path))
    state = {
        name.removeprefix('module.').removeprefix(prefix): value
        for name, value in content.get('state_dict', content).items()
        if name.removeprefix('module.').startswith(prefix)
    }
    if not state:
        raise CheckpointError(
            f"checkpoint {path}: has no '{prefix}*', which "
            f'{type(module).__name__} was to start from; give a checkpoint '
            'of pre-training, or another prefix')
    own = module.state_dict()
    wrong = sorted(set(own) ^ set(state)) + [
        name for name, value in state.items()
        if name in own and own[name].shape != value.shape]
    if wrong:
        raise CheckpointError(
            f"checkpoint {path}: its '{prefix}*' is not the config's "
            f'{type(module).__name__}, {len(wrong)} names or shapes differ'
            f'{name_a_few(wrong)}; build it as the checkpoint was')
    module.load_state_dict(state)


def start_from_checkpoint(module: nn.Module) -> bool:
    """Load what a module's ``init_cfg`` names, if it names anything.

    mmengine would load without looking for what is missing; and a module
    with a start of its own would never get there.

    Args:
        module: With ``init_cfg``: None, or ``dict(type='Pretrained',
            checkpoint=FILE, prefix=...)``.

    Returns:
        Whether it was loaded.

    Raises:
        ValueError: Another kind of ``init_cfg``.
        FileNotFoundError, CheckpointError: See :func:`load_part_strictly`.
    """
    init_cfg = getattr(module, 'init_cfg', None)
    if not init_cfg:
        return False
    name = type(module).__name__
    if not isinstance(init_cfg, dict) or init_cfg.get(
            'type') != 'Pretrained' or not init_cfg.get('checkpoint'):
        raise ValueError(
            f"{name}: init_cfg={init_cfg}: expected dict(type='Pretrained', "
            'checkpoint=FILE, prefix=...); its random start is its own')
    load_part_strictly(module, init_cfg['checkpoint'],
                       init_cfg.get('prefix') or '')
    print_log(f"{name}: started from {init_cfg['checkpoint']}", 'current')
    return True
