# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The launch scripts: two real gloo processes, and a stand-in for srun."""

import os
import socket
import stat
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return str(s.getsockname()[1])


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_two_processes_average_their_gradients(toy, call, run):
    """One step over x = 0..3, as two processes and as one."""
    options = ('--cfg-options', 'train_cfg.max_epochs=1',
               'train_dataloader.dataset.points=4')
    ran = run('bash', TOOLS / 'dist_train.sh', 'toy_config.py', '2',
              '--work-dir', 'two', *options, PORT=free_port(),
              TOY_RANK_FOLDER=str(toy))
    assert ran.returncode == 0, ran.stderr
    assert call('train', 'toy_config.py', '--work-dir', 'one', *options,
                'train_dataloader.batch_size=4') is None
    assert call('train', 'toy_config.py', '--work-dir', 'half', *options,
                'train_dataloader.dataset.points=2') is None
    # Two processes with two samples each take the step of one process with
    # four, not that of a process which saw only its own two.
    two, one, half = (
        weights(toy / name / 'epoch_1.pth') for name in ('two', 'one', 'half'))
    torch.testing.assert_close(two['line.weight'], one['line.weight'])
    torch.testing.assert_close(two['line.bias'], one['line.bias'])
    assert not torch.allclose(two['line.weight'], half['line.weight'])
    ranks = [
        torch.load(toy / f'rank{n}.pt', weights_only=False) for n in (0, 1)
    ]
    assert [r['world'] for r in ranks] == [2, 2]
    assert ranks[0]['wrapper'] == 'MMDistributedDataParallel'
    torch.testing.assert_close(
        ranks[0]['weight'], ranks[1]['weight'], rtol=0, atol=0)
    assert "backend='gloo'" in (toy / 'two' / 'toy_config.py').read_text()


def test_dist_test_counts_every_sample_once(toy, call, run):
    assert call('train', 'toy_config.py', '--work-dir', 'out') is None
    ran = run('bash', TOOLS / 'dist_test.sh', 'toy_config.py',
              'out/epoch_2.pth', '2', PORT=free_port())
    assert ran.returncode == 0, ran.stderr
    assert 'count: 4' in ran.stdout + ran.stderr


@pytest.fixture
def srun(toy):
    """An srun on the PATH that records how it was called."""
    folder = toy / 'bin'
    folder.mkdir()
    script = folder / 'srun'
    script.write_text('#!/usr/bin/env bash\n'
                      'printf "%s\\n" "$@" > srun_arguments\n'
                      'printf "%s" "$PYTHONPATH" > srun_pythonpath\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return dict(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(('name', 'tail'), [
    ('train', ['toy_config.py', '--work-dir=third', '--launcher=slurm']),
    ('test', ['toy_config.py', 'third', '--launcher=slurm']),
])
def test_slurm_scripts_call_srun(toy, run, srun, name, tail):
    ran = run(
        'bash',
        TOOLS / f'slurm_{name}.sh',
        'gpu partition',
        'job',
        'toy_config.py',
        'third',
        '--cfg-options',
        'a=1 2',
        GPUS='16',
        GPUS_PER_NODE='4',
        CPUS_PER_TASK='3',
        SRUN_ARGS='--quotatype=spot --exclusive',
        PY_ARGS='--seed 7',
        **srun)
    assert ran.returncode == 0, ran.stderr
    arguments = (toy / 'srun_arguments').read_text().splitlines()
    assert arguments == [
        '-p', 'gpu partition', '--job-name=job', '--gres=gpu:4',
        '--ntasks=16', '--ntasks-per-node=4', '--cpus-per-task=3',
        '--kill-on-bad-exit=1', '--quotatype=spot', '--exclusive',
        sys.executable, '-u',
        str(TOOLS / f'{name}.py'), *tail, '--seed', '7', '--cfg-options',
        'a=1 2'
    ]
    assert (toy / 'srun_pythonpath').read_text().startswith(str(ROOT))


@pytest.mark.parametrize(('gpus', 'per_node'), [('4', '4'), ('32', '8')])
def test_slurm_defaults(toy, run, srun, gpus, per_node):
    ran = run('bash', TOOLS / 'slurm_train.sh', 'p', 'j', 'toy_config.py',
              'out', GPUS=gpus, **srun)
    assert ran.returncode == 0, ran.stderr
    arguments = (toy / 'srun_arguments').read_text().splitlines()
    assert f'--ntasks-per-node={per_node}' in arguments
    assert '--cpus-per-task=5' in arguments
    assert arguments[-1] == '--launcher=slurm'


@pytest.mark.parametrize('script', [
    'dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'
])
def test_too_few_arguments_show_the_usage(run, script):
    ran = run('bash', TOOLS / script)
    assert ran.returncode == 2
    assert f'tools/{script}' in ran.stderr
