# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Model, data and metric of toy_config.py."""

import os
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, RUNNERS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmskysense.models import SkySenseV2


@MODELS.register_module()
class ToyLine(BaseModel):
    """y = a x + b; notes the precision its layer computed in."""

    def __init__(self, outputs=1, data_preprocessor=None):
        super().__init__(data_preprocessor=data_preprocessor)
        self.line = nn.Linear(1, outputs)

    def forward(self, x, y, mode='tensor'):
        predicted = self.line(x)
        if mode == 'loss':
            note = os.environ.get('TOY_DTYPE_FILE')
            if note:
                Path(note).write_text(str(predicted.dtype))
            return dict(loss=(predicted.float() - y).square().mean())
        return [
            dict(predicted=p, truth=t)
            for p, t in zip(predicted, y, strict=True)
        ]


@MODELS.register_module()
class ToyLineWithEncoder(ToyLine):
    """An encoder that loads its weights before training, and no more."""

    def __init__(self, checkpoint, embed_dims=16):
        super().__init__()
        self.backbone = SkySenseV2(
            dict(embed_dims=embed_dims, depths=(1, 1, 1, 1), head_dims=8,
                 window_size=4), sensors=('hr_rgb', ),
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint))


@DATASETS.register_module()
class ToyPoints(Dataset):
    """Points of y = 2x + 1 at x = 0, 1, ..."""

    metainfo = dict()

    def __init__(self, points, must_exist=None):
        if must_exist is not None and not Path(must_exist).exists():
            raise FileNotFoundError(f'{must_exist}: no such raster')
        self.points = points

    def __len__(self):
        return self.points

    def __getitem__(self, index):
        x = torch.tensor([float(index)])
        return dict(x=x, y=2 * x + 1)


@METRICS.register_module()
class ToyError(BaseMetric):
    """Mean absolute error."""

    def process(self, data_batch, data_samples):
        self.results += [
            float((s['predicted'] - s['truth']).abs().mean())
            for s in data_samples
        ]

    def compute_metrics(self, results):
        return dict(error=sum(results) / len(results), count=len(results))


@RUNNERS.register_module()
class ToyRunner(Runner):
    """A runner that a config can ask for by name."""

    def train(self):
        print('trained by the toy runner')
        return super().train()


@HOOKS.register_module()
class ToySaveEveryRank(Hook):
    """Let a test see what each process of a distributed run ended with."""

    def after_train(self, runner):
        folder = os.environ.get('TOY_RANK_FOLDER')
        if folder:
            torch.save(
                dict(
                    weight=runner.model.module.line.weight.detach(),
                    wrapper=type(runner.model).__name__,
                    world=runner.world_size),
                f'{folder}/rank{runner.rank}.pt')
