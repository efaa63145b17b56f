# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Refusing checkpoints that do not fit the model.

mmengine loads non-strictly and leaves a note in the log: a test then runs on
random weights. Here a mismatch is an error, raised before anything runs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.runner import CheckpointLoader
from torch import nn

from .command_line import check_file

_EXAMPLES = 3


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or does not fit the model."""


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a checkpoint file onto the CPU.

    Args:
        path (str): A file, or an address mmengine can open.

    Returns:
        dict: The file's content.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is empty; :class:`CheckpointError` if it is
            truncated or not a checkpoint.
    """
    check_file(path, 'checkpoint', 'give the path of a .pth file that '
               'tools/train.py wrote (work_dirs/<config>/)')
    # The log of a run may hold float32 scores (mmseg's IoU). mmengine's list
    # of harmless types lacks them: it would warn at length and unpickle
    # anything.
    torch.serialization.add_safe_globals([type(np.dtype(np.float32))])
    try:
        content = CheckpointLoader.load_checkpoint(
            path, map_location='cpu', logger='silent')
    except (RuntimeError, EOFError, OSError, ValueError, KeyError,
            AttributeError, ImportError, IndexError) as error:
        raise CheckpointError(
            f'checkpoint {path}: cannot be read, it is truncated or not a '
            'torch checkpoint; copy or download it again '
            f'({type(error).__name__})') from error
    except Exception as error:  # pickle.UnpicklingError and its relatives
        raise CheckpointError(
            f'checkpoint {path}: is not a torch checkpoint '
            f'({type(error).__name__}); give a .pth file that '
            'tools/train.py wrote') from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f'checkpoint {path}: expected a dict of tensors, found '
            f'{type(content).__name__}')
    return content


def _state_dict(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Take the weights out, without DistributedDataParallel's prefix."""
    state = content.get('state_dict', content)
    return {
        name.removeprefix('module.'): value
        for name, value in state.items()
    }


def name_a_few(names: Sequence[str]) -> str:
    """Name a few of many in brackets, for a message; empty for none.

    Args:
        names: Keys of a checkpoint.

    Returns:
        For example ``' (a.weight, a.bias, b.weight and 7 more)'``.
    """
    if not names:
        return ''
    more = len(names) - _EXAMPLES
    rest = f' and {more} more' if more > 0 else ''
    return f" ({', '.join(names[:_EXAMPLES])}{rest})"


def check_checkpoint(model: nn.Module, path: str) -> dict[str, Any]:
    """Refuse a checkpoint whose tensors are not exactly the model's.

    The weights are really loaded, so that modules which rename old keys while
    loading are not mistaken for mismatches.

    Args:
        model (nn.Module): The model; it holds the weights afterwards.
        path (str): Checkpoint file.

    Returns:
        dict: The file's content, for example its ``meta``.

    Raises:
        FileNotFoundError: If there is no file.
        CheckpointError: If it cannot be read or keys are missing, unexpected
            or of another size; the message names examples and the remedy.
    """
    model = getattr(model, 'module', model)
    content = read_checkpoint(path)
    state = _state_dict(content)
    own = model.state_dict()
    resized = [
        f'{name} is {tuple(value.shape)}, the model has '
        f'{tuple(own[name].shape)}' for name, value in state.items()
        if name in own and hasattr(value, 'shape')
        and value.shape != own[name].shape
    ]
    problems = []
    if resized:
        problems.append(f'{len(resized)} of another size{name_a_few(resized)}')
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
    else:
        result = model.load_state_dict(state, strict=False)
        missing = list(result.missing_keys)
        unexpected = list(result.unexpected_keys)
    if missing:
        problems.append(f'{len(missing)} missing{name_a_few(missing)}')
    if unexpected:
        problems.append(
            f'{len(unexpected)} unexpected{name_a_few(unexpected)}')
    if problems:
        raise CheckpointError(
            f'checkpoint {path} does not fit the model of the config: '
            f"{'; '.join(problems)}; use the config it was trained with "
            '(a copy lies beside the checkpoint), or load a backbone alone '
            'through init_cfg')
    return content
