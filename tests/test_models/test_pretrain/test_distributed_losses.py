# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Two real processes, half of a batch each, equal one with all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmskysense.registry import MODELS

ROOT = Path(__file__).resolve().parents[3]
SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')
TERMS = ('qsacl', 'image', 'pixel', 'object', 'text', 'koleo')
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
config, state, inputs = torch.load(f'{folder}/job.pt', weights_only=False)
config.pop('type')
model = SkySenseV2Pretrainer(**config)
model.load_state_dict(state)
wrapped = DistributedDataParallel(model.train())
losses = wrapped(inputs[rank], mode='loss')
# Of each term on its own, as each could be wrong in its own way.
gradients = {}
for name, loss in losses.items():
    grads = torch.autograd.grad(loss, list(model.student.parameters()),
                                retain_graph=True, allow_unused=True)
    for (key, p), grad in zip(model.student.named_parameters(), grads):
        grad = torch.zeros_like(p) if grad is None else grad.contiguous()
        distributed.all_reduce(grad)
        gradients[name, key] = grad / 2
# And once through DistributedDataParallel itself.
torch.stack(list(losses.values())).sum().backward()
total = {n: p.grad for n, p in model.student.named_parameters()}
torch.save(({k: v.detach() for k, v in losses.items()}, gradients, total,
            model.student['geo_context'].prototypes), f'{folder}/{rank}.pt')
distributed.destroy_process_group()
"""


def lopsided(parts):
    """A batch whose halves have very different weights."""
    inputs = parts.inputs(SENSORS, batch=4)
    for views in inputs.values():
        # Tile 0 has no radar, tile 1 a cloudy date, tile 2 nothing at all in
        # one view; tile 3 lies in the region of tile 0.
        views.valid['s1_grd'][:, 0] = False
        views.valid['s2_l2a'][:, 1, 0] = False
        for valid in views.valid.values():
            valid[0, 2] = False
        views.labels[:, 0] = 255
    return inputs


@pytest.mark.parametrize('batch_norm', [False, True])
def test_two_processes_equal_one(parts, batch_norm, tmp_path):
    config = parts.whole(SENSORS, batch_norm)
    # All places, as the draw is random.
    config['max_places'] = 10_000
    model = MODELS.build(config)
    model.init_weights()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    inputs = lopsided(parts)
    halves = [{k: parts.part_of(v, half) for k, v in inputs.items()}
              for half in (slice(0, 2), slice(2, 4))]
    torch.save((config, model.state_dict(), halves), tmp_path / 'job.pt')
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    workers = [
        subprocess.Popen(
            [sys.executable, '-c', WORKER, str(rank), str(tmp_path)],
            env=env) for rank in (0, 1)
    ]
    try:
        assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    results = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]

    losses = model.train()(inputs, mode='loss')
    assert set(losses) == {f'loss_{term}' for term in TERMS}
    for name, loss in losses.items():
        mean = (results[0][0][name] + results[1][0][name]) / 2
        torch.testing.assert_close(mean, loss.detach(), rtol=1e-4, atol=1e-5,
                                   msg=lambda m, n=name: f'{n}: {m}')
    if batch_norm:  # its gradient is that of a process' own statistics
        for _, _, grads, _ in results:
            assert all(grad.isfinite().all() for grad in grads.values())
        return
    parameters = dict(model.student.named_parameters())
    total = dict.fromkeys(parameters, 0.0)
    for name, loss in losses.items():
        grads = torch.autograd.grad(loss, list(parameters.values()),
                                    retain_graph=True, allow_unused=True)
        for key, grad in zip(parameters, grads, strict=True):
            if grad is None:
                grad = torch.zeros_like(parameters[key])
            total[key] = total[key] + grad
            torch.testing.assert_close(
                results[0][1][name, key], grad, rtol=1e-3,
                atol=1e-5 + 1e-4 * float(grad.abs().max()),
                msg=lambda m, n=name, k=key: f'{n}, {k}: {m}')
    for rank in (0, 1):
        for key, grad in total.items():
            torch.testing.assert_close(
                results[rank][2][key], grad, rtol=1e-3,
                atol=1e-5 + 1e-4 * float(grad.abs().max()))
        torch.testing.assert_close(
            results[rank][3], model.student['geo_context'].prototypes,
            rtol=1e-4, atol=1e-5)
