# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Preparing a config for the launcher and the device it will run on.

mmengine's launchers call ``torch.cuda.set_device`` whatever the machine, and
its wrapper hands a GPU index to DistributedDataParallel: on a machine
without a GPU both fail. Here the gloo group is made first, which mmengine
then keeps, and the wrapper is told to use no device index.
"""

import gc
import logging
import os
import subprocess
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import distributed

from mmskysense.utils.precision import EMULATED, has_bfloat16

__all__ = ['enable_amp', 'leave_launch', 'prepare_launch']

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def _slurm_variables() -> dict[str, str]:
    """Translate Slurm's variables into those of ``env://``."""
    nodes = os.environ['SLURM_NODELIST']
    variables = dict(
        RANK=os.environ['SLURM_PROCID'],
        WORLD_SIZE=os.environ['SLURM_NTASKS'],
        LOCAL_RANK=os.environ.get('SLURM_LOCALID', '0'),
        MASTER_PORT=os.environ.get('MASTER_PORT', '29500'))
    if 'MASTER_ADDR' not in os.environ:
        shown = subprocess.run(['scontrol', 'show', 'hostname', nodes],
                               check=True,
                               capture_output=True,
                               text=True)
        variables['MASTER_ADDR'] = shown.stdout.splitlines()[0]
    return variables


def _mpi_variables() -> dict[str, str]:
    """Translate Open MPI's variables into those of ``env://``."""
    return dict(
        RANK=os.environ['OMPI_COMM_WORLD_RANK'],
        WORLD_SIZE=os.environ['OMPI_COMM_WORLD_SIZE'],
        LOCAL_RANK=os.environ['OMPI_COMM_WORLD_LOCAL_RANK'],
        MASTER_ADDR=os.environ.get('MASTER_ADDR', '127.0.0.1'),
        MASTER_PORT=os.environ.get('MASTER_PORT', '29500'))


def init_gloo(launcher: str) -> None:
    """Make the default process group with gloo, from the launcher's variables.

    Args:
        launcher (str): ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        ValueError: If the variables the launcher sets are missing, i.e. the
            command was not started by it.
    """
    try:
        if launcher == 'slurm':
            os.environ.update(_slurm_variables())
        elif launcher == 'mpi':
            os.environ.update(_mpi_variables())
        else:
            for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR'):
                os.environ[name]
    except KeyError as error:
        raise ValueError(
            f"--launcher {launcher}: the environment has no '{error.args[0]}'"
            '; start the command with the launcher (tools/dist_train.sh, '
            'tools/slurm_train.sh, mpirun) or leave --launcher out') from None
    distributed.init_process_group('gloo')


def prepare_launch(cfg: Config, launcher: str) -> None:
    """Set the launcher in a config and make it run on this machine.

    On a machine with an accelerator only ``cfg.launcher`` is set and mmengine
    does the rest. Without one, the gloo group is initialised and
    ``cfg.model_wrapper_cfg`` is completed so that it works on a CPU.

    Args:
        cfg (Config): Changed in place.
        launcher (str): One of ``'none'``, ``'pytorch'``, ``'slurm'``,
            ``'mpi'``.

    Raises:
        ValueError: If the launcher is unknown or its variables are missing.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f"launcher: expected one of {', '.join(LAUNCHERS)}, "
                         f"found '{launcher}'")
    cfg.launcher = launcher
    if launcher == 'none' or torch.cuda.is_available() \
            or get_device() not in ('cpu', 'mps'):
        return
    if not distributed.is_initialized():
        init_gloo(launcher)
    # The dumped config should say what really ran.
    cfg.merge_from_dict(dict(env_cfg=dict(dist_cfg=dict(backend='gloo'))))
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False))
    # mmengine would fill in the index of a GPU.
    cfg.model_wrapper_cfg.setdefault('device_ids', None)


def leave_launch() -> None:
    """Leave the process group, where there is one; a command's last act.

    Gloo's threads otherwise outlive the interpreter. Now and then one of
    them still has to free a tensor that Python knows, cannot get hold of the
    interpreter, and aborts a process whose work was done ("terminate called
    without an active exception"); the launcher then reports a failure. They
    end with the last reference to the group, of which a wrapped model has
    some: call this where the runner is out of scope.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    # Nobody leaves while another still waits for what it has to send.
    distributed.barrier()
    distributed.destroy_process_group()
    # Runner, model and hooks refer to each other.
    gc.collect()


def _has_experts(node: Any) -> bool:
    """Whether a config asks for a mixture of experts somewhere."""
    if isinstance(node, (list, tuple)):
        return any(_has_experts(value) for value in node)
    if not hasattr(node, 'items'):
        return False
    return any((key == 'moe' and value) or _has_experts(value)
               for key, value in node.items())


def enable_amp(cfg: Config) -> None:
    """Switch a config's optimiser wrapper to automatic mixed precision.

    On an accelerator mmengine's ``AmpOptimWrapper``: bfloat16 without loss
    scaling where there is bfloat16, else float16 with it. On a CPU, where
    that one refuses to run, our ``CPUAmpOptimWrapper`` in bfloat16; a CPU
    that would only emulate bfloat16 trains in float32, with a warning. The
    dtype of a config that has an ``AmpOptimWrapper`` already is kept.

    A scaled loss would drown the balance loss of the experts, which joins
    the backward pass without the scale: with experts, float16 is warned of.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ValueError: If the config's wrapper is neither ``OptimWrapper`` nor
            already a mixed-precision one.
    """
    wrapper = cfg.get('optim_wrapper', {}).get('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper',
                       'mmskysense.CPUAmpOptimWrapper'):
        raise ValueError(f"--amp: optim_wrapper is '{wrapper}', expected "
                         "'OptimWrapper' or 'AmpOptimWrapper'; leave --amp "
                         'out or change the config')
    settings = cfg.optim_wrapper
    if get_device() == 'cpu':
        for name in ('dtype', 'loss_scale'):
            settings.pop(name, None)
        settings.type = 'mmskysense.CPUAmpOptimWrapper'
        if not has_bfloat16():
            settings.type = 'OptimWrapper'
            print_log(f'--amp: {EMULATED}; training in float32 instead',
                      'current', logging.WARNING)
        return
    if wrapper != 'AmpOptimWrapper':
        settings.type = 'AmpOptimWrapper'
        if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
            settings.dtype = 'bfloat16'
            settings.loss_scale = dict(enabled=False)
        else:
            settings.dtype, settings.loss_scale = 'float16', 'dynamic'
    if settings.get('dtype') != 'bfloat16' and _has_experts(cfg.get('model')):
        print_log(
            '--amp: float16 scales the loss but not the experts\' balance '
            'loss, so that experts are hardly balanced; train without --amp, '
            'or on a GPU with bfloat16', 'current', level=logging.WARNING)
