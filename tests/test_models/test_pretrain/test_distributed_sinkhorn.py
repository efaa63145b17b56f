# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Sinkhorn over two real processes."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from mmskysense.models.pretrain import sinkhorn_knopp

ROOT = Path(__file__).resolve().parents[3]
# A script of its own: spawned workers cannot import test modules.
WORKER = """
import sys
import torch
from mmskysense.models.pretrain import sinkhorn_knopp
from torch import distributed

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group(
    'gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
    world_size=2)
logits, weight = torch.load(f'{folder}/batch.pt')
share = slice(0, 2) if rank == 0 else slice(2, 6)
result = sinkhorn_knopp(logits[:, share], 0.05, weight=weight[:, share])
torch.save(result, f'{folder}/{rank}.pt')
distributed.destroy_process_group()
"""


def test_two_processes_equal_one_on_the_joined_batch(tmp_path):
    logits = torch.rand(3, 6, 7) * 2 - 1
    weight = torch.ones(3, 6)
    weight[1, 4] = 0
    torch.save((logits, weight), tmp_path / 'batch.pt')
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    # Shares of different size: 2 and 4 samples.
    workers = [
        subprocess.Popen(
            [sys.executable, '-c', WORKER, str(rank), str(tmp_path)],
            env=env) for rank in (0, 1)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    joined = torch.cat([torch.load(tmp_path / f'{r}.pt') for r in (0, 1)], 1)
    torch.testing.assert_close(joined,
                               sinkhorn_knopp(logits, 0.05, weight=weight))
