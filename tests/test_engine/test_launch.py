# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What prepare_launch and enable_amp make of a config, without processes."""

import stat

import pytest
import torch
from mmengine.config import Config

from mmskysense.engine import (
    CPUAmpOptimWrapper,
    check_checkpoint,
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


def test_amp_keeps_the_other_settings():
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


def test_check_checkpoint_loads_what_fits(tmp_path):
    source, target = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    # As DistributedDataParallel would have saved it.
    torch.save({
        'state_dict':
        {f'module.{k}': v
         for k, v in source.state_dict().items()}
    }, tmp_path / 'a.pth')
    check_checkpoint(target, str(tmp_path / 'a.pth'))
    torch.testing.assert_close(target.weight, source.weight)


def test_check_checkpoint_leaves_the_model_alone_on_another_size(tmp_path):
    target = torch.nn.Linear(2, 2)
    before = target.bias.detach().clone()
    state = torch.nn.Linear(3, 2).state_dict()
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='1 of another size'):
        check_checkpoint(target, str(tmp_path / 'a.pth'))
    torch.testing.assert_close(target.bias, before)


def test_check_checkpoint_respects_modules_that_rename(tmp_path):

    class Renaming(torch.nn.Linear):

        def _load_from_state_dict(self, state_dict, prefix, *args):
            if prefix + 'old_bias' in state_dict:
                state_dict[prefix + 'bias'] = state_dict.pop(prefix +
                                                             'old_bias')
            super()._load_from_state_dict(state_dict, prefix, *args)

    state = torch.nn.Linear(2, 2).state_dict()
    state['old_bias'] = state.pop('bias')
    torch.save(state, tmp_path / 'a.pth')
    model = Renaming(2, 2)
    check_checkpoint(model, str(tmp_path / 'a.pth'))
    torch.testing.assert_close(model.bias, state['old_bias'])


def test_check_checkpoint_refuses_what_is_no_dict(tmp_path):
    torch.save([1, 2], tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='found list'):
        check_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'a.pth'))
