# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Processes of a pre-training draw views of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys
import torch
from mmengine.config import Config
from mmengine.runner import set_random_seed
from torch import distributed

from mmskysense.datasets.transforms import BatchedMultiCropViews

rank, folder, config = int(sys.argv[1]), sys.argv[2], sys.argv[3]
distributed.init_process_group(
    'gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
    world_size=2)
set_random_seed(**Config.fromfile(config).randomness)
cut = BatchedMultiCropViews(dict(hr_rgb=(16, 8)))
torch.save(cut.random_boxes((20, ), (0.1, 0.5)), f'{folder}/{rank}.pt')
distributed.destroy_process_group()
"""


@pytest.mark.parametrize('schedule', ['pretrain_2k', 'pretrain_600k'])
def test_views_that_are_cut_on_the_device_differ(schedule, tmp_path):
    config = ROOT / f'configs/_base_/schedules/{schedule}.py'
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    workers = [
        subprocess.Popen([sys.executable, '-c', WORKER, str(rank),
                          str(tmp_path), str(config)], env=env)
        for rank in (0, 1)
    ]
    try:
        assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1))
    assert not torch.isclose(first, second).all(1).any()
