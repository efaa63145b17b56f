# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Two real processes whose batches hold different sensors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')
# A script of its own: spawned workers cannot import test modules.
WORKER = """
import sys
import torch
from mmskysense.models import SkySenseV2Pretrainer
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group(
    'gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
    world_size=2)
config, inputs = torch.load(f'{folder}/job.pt', weights_only=False)
config.pop('type')
torch.manual_seed(0)
model = SkySenseV2Pretrainer(**config)
model.init_weights()
model.collect_statistics = True
wrapped = DistributedDataParallel(model.train())
losses = wrapped(inputs[rank], mode='loss')
torch.stack(list(losses.values())).sum().backward()
torch.save(({k: v.detach() for k, v in losses.items()},
            {n: p.grad for n, p in model.student.named_parameters()}),
           f'{folder}/{rank}.pt')
distributed.destroy_process_group()
"""


@pytest.mark.parametrize('batch_norm', [False, True])
@pytest.mark.parametrize('present', [
    (SENSORS, ('hr_rgb', 's2_l2a')), (('hr_rgb', ), ('s2_l2a', 's1_grd'))],
    ids=['one-lacks-radar', 'nothing-in-common'])
def test_processes_with_different_sensors(parts, present, batch_norm,
                                          tmp_path):
    torch.save((parts.config(SENSORS, batch_norm),
                [parts.inputs(sensors) for sensors in present]),
               tmp_path / 'job.pt')
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    workers = [
        subprocess.Popen(
            [sys.executable, '-c', WORKER, str(rank), str(tmp_path)],
            env=env) for rank in (0, 1)
    ]
    try:
        assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    results = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]
    for losses, gradients in results:
        assert all(torch.isfinite(loss) for loss in losses.values())
        assert all(g is not None and torch.isfinite(g).all()
                   for g in gradients.values())
    torch.testing.assert_close(results[0][1], results[1][1])
    # A sensor that only one process has still teaches its head.
    head = 'image_head.heads.s1_grd.prototypes'
    assert results[0][1][head].any()
