# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What prepare_launch and enable_amp make of a config, without processes."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmskysense.engine import (
    CPUAmpOptimWrapper,
    enable_amp,
    launch,
    prepare_launch,
)


@pytest.fixture
def no_group(monkeypatch):
    """Record the process group that would be made."""
    made = []
    monkeypatch.setattr(launch.distributed, 'init_process_group', made.append)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR',
                 'MASTER_PORT', 'SLURM_NODELIST', 'SLURM_PROCID'):
        # Set first, so that what the code sets is undone after the test.
        monkeypatch.setenv(name, 'x')
        monkeypatch.delenv(name)
    return made


def test_no_launcher_changes_nothing_else(no_group):
    cfg = Config(dict(model=dict(type='A')))
    prepare_launch(cfg, 'none')
    assert cfg.to_dict() == dict(model=dict(type='A'), launcher='none')
    assert no_group == []


def test_unknown_launcher():
    with pytest.raises(ValueError, match="none, pytorch, slurm, mpi.*'ssh'"):
        prepare_launch(Config(), 'ssh')


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_not_started_by_the_launcher(no_group, launcher):
    with pytest.raises(ValueError, match=f'--launcher {launcher}: the envir'):
        prepare_launch(Config(), launcher)
    assert no_group == []


@pytest.mark.parametrize('find_unused', [False, True])
def test_gloo_and_a_wrapper_without_devices(no_group, monkeypatch,
                                            find_unused):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR'):
        monkeypatch.setenv(name, '0')
    cfg = Config(
        dict(
            env_cfg=dict(dist_cfg=dict(backend='nccl'), cudnn_benchmark=True),
            find_unused_parameters=find_unused))
    prepare_launch(cfg, 'pytorch')
    assert no_group == ['gloo']
    assert cfg.env_cfg.to_dict() == dict(
        dist_cfg=dict(backend='gloo'), cudnn_benchmark=True)
    assert cfg.model_wrapper_cfg.to_dict() == dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=find_unused,
        device_ids=None)


def test_the_config_keeps_its_own_wrapper(no_group, monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR'):
        monkeypatch.setenv(name, '0')
    cfg = Config(dict(model_wrapper_cfg=dict(type='Mine')))
    prepare_launch(cfg, 'pytorch')
    assert cfg.model_wrapper_cfg.to_dict() == dict(
        type='Mine', device_ids=None)


def test_slurm_variables_become_those_of_torch(no_group, monkeypatch,
                                               tmp_path):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho node7\necho node8\n')
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv('PATH', f'{tmp_path}:/usr/bin:/bin')
    for name, value in dict(
            NODELIST='node[7-8]', PROCID='3', NTASKS='4', LOCALID='1').items():
        monkeypatch.setenv(f'SLURM_{name}', value)
    prepare_launch(Config(), 'slurm')
    assert no_group == ['gloo']
    read = launch.os.environ
    assert (read['RANK'], read['WORLD_SIZE'], read['LOCAL_RANK']) == ('3', '4',
                                                                     '1')
    assert read['MASTER_ADDR'] == 'node7'


def test_amp_keeps_the_other_settings(monkeypatch):
    monkeypatch.setattr(launch, 'has_bfloat16', lambda: True)
    cfg = Config(
        dict(
            optim_wrapper=dict(
                type='AmpOptimWrapper',
                dtype='float16',
                loss_scale=512.,
                clip_grad=dict(max_norm=1.))))
    enable_amp(cfg)
    assert cfg.optim_wrapper.to_dict() == dict(
        type='mmskysense.CPUAmpOptimWrapper', clip_grad=dict(max_norm=1.))


def test_amp_where_a_cpu_only_emulates_it_is_float32(monkeypatch):
    warnings = []
    monkeypatch.setattr(launch, 'has_bfloat16', lambda: False)
    monkeypatch.setattr(launch, 'print_log',
                        lambda text, *args, **kwargs: warnings.append(text))
    cfg = Config(dict(optim_wrapper=dict(
        type='AmpOptimWrapper', dtype='float16', accumulative_counts=2)))
    enable_amp(cfg)
    assert cfg.optim_wrapper.to_dict() == dict(
        type='OptimWrapper', accumulative_counts=2)
    assert len(warnings) == 1 and 'float32 instead' in warnings[0]


@pytest.mark.parametrize('moe', [None, dict(num_experts=8)])
@pytest.mark.parametrize('bfloat16', [True, False])
def test_amp_on_a_gpu_keeps_experts_balanced(monkeypatch, bfloat16, moe):
    warnings = []
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: bfloat16)
    monkeypatch.setattr(launch, 'print_log',
                        lambda text, *args, **kwargs: warnings.append(text))
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper'),
                      model=dict(backbone=dict(moe=moe))))
    enable_amp(cfg)
    assert cfg.optim_wrapper.to_dict() == dict(
        type='AmpOptimWrapper',
        dtype='bfloat16' if bfloat16 else 'float16',
        loss_scale=dict(enabled=False) if bfloat16 else 'dynamic')
    assert len(warnings) == (moe is not None and not bfloat16)


def test_amp_refuses_other_wrappers():
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapperDict')))
    with pytest.raises(ValueError, match='OptimWrapperDict'):
        enable_amp(cfg)


def test_cpu_amp_trains_in_float32_and_computes_in_bfloat16():
    model = torch.nn.Linear(4, 2)
    before = model.weight.detach().clone()
    wrapper = CPUAmpOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        accumulative_counts=1)
    with wrapper.optim_context(model):
        output = model(torch.ones(1, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    torch.testing.assert_close(model.weight, before - 0.1)
    assert model(torch.ones(1, 4)).dtype == torch.float32


GLOO = """
import torch
from pathlib import Path
from torch import distributed
from mmskysense.engine import leave_launch

def threads():
    tasks = Path('/proc/self/task').glob('*/comm')
    return [name for name in (t.read_text() for t in tasks) if 'gloo' in name]

leave_launch()  # nothing to leave
distributed.init_process_group(
    'gloo', store=distributed.HashStore(), rank=0, world_size=1)
class Runner: pass
runner = Runner()
runner.model = torch.nn.parallel.DistributedDataParallel(
    torch.nn.Linear(1, 1))
runner.model.runner = runner  # as mmengine's hooks do
distributed.broadcast_object_list([1])
print(len(threads()))
del runner
leave_launch()
print(len(threads()), distributed.is_initialized())
"""


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(),
                    reason='threads are listed in /proc')
def test_no_thread_of_gloo_outlives_the_launch():
    """One that does may abort a process whose work is done."""
    ran = subprocess.run([sys.executable, '-c', GLOO], check=True,
                         capture_output=True, text=True)
    before, after, initialised = ran.stdout.split()
    assert int(before) > 0
    assert (int(after), initialised) == (0, 'False')
