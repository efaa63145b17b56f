# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""lightly's DINO with a small vision transformer, on a time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from mmskysense.raster.reader import RasterReader
from mmskysense.utils import require

from .vision_transformer import vit_tiny


@dataclass(frozen=True)
class DinoOptions:
    """How DINO trains (arXiv 2104.14294; lightly's loss, head, transforms).

    Schedules follow the share of the time that has passed.

    Args:
        minutes: Wall-clock budget of training alone.
        threads: Of torch, in the training process.
        workers: Processes that augment images.
        batch_size: Images a step.
        learning_rate: Highest, of AdamW: warm-up over a tenth, then cosine.
        weight_decay: Of AdamW.
        momentum: First EMA momentum of the teacher; cosine to 1.
        local_views: Crops of 32 pixels, beside two of 64.
        output_dims: Prototypes of the head.
        bfloat16: Autocast.
        max_steps: Stop after so many steps even with time left.
        seed: Of weights, order and augmentation (the number of steps
            depends on the machine all the same).
    """

    minutes: float = 30.0
    threads: int = 2
    workers: int = 1
    batch_size: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.04
    momentum: float = 0.996
    local_views: int = 4
    output_dims: int = 2048
    bfloat16: bool = True
    max_steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.threads < 1 or self.batch_size < 2:
            raise ValueError(
                f'minutes={self.minutes}, threads={self.threads}, batch_size='
                f'{self.batch_size}: expected above 0, 1 and 2 or more')


class _Pictures(Dataset):
    """Unlabelled 8-bit images, kept in memory, augmented when asked for."""

    def __init__(self, paths: Sequence[str], transform: Any) -> None:
        self.transform = transform
        self.pixels = [
            RasterReader(path, 'hr_rgb').read()[0].astype(np.uint8)
            for path in tqdm(paths, desc='reading', leave=False,
                             disable=None)
        ]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> list[Tensor]:
        from PIL import Image
        return self.transform(
            Image.fromarray(self.pixels[index].transpose(1, 2, 0)))


def train_dino(paths: Sequence[str], options: DinoOptions
               ) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train on unlabelled images.

    Args:
        paths: 8-bit RGB images.
        options: See :class:`DinoOptions`.

    Returns:
        The teacher's ViT-tiny/8 weights, and a record of the run: options,
        ``steps``, ``images_seen``, ``seconds``, ``losses`` (mean of each
        tenth of the steps).

    Raises:
        ImportError: lightly or timm is missing.
        ValueError: Fewer images than one batch.
        FloatingPointError: The loss is not finite.
    """
    require('lightly', 'the DINO baseline')
    require('timm', 'the DINO baseline')
    from lightly.loss import DINOLoss
    from lightly.models.modules import DINOProjectionHead
    from lightly.models.utils import update_momentum
    from lightly.transforms import DINOTransform

    if len(paths) < options.batch_size:
        raise ValueError(f'DINO needs at least one batch of '
                         f'{options.batch_size} images, found {len(paths)}')
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    data = _Pictures(paths, DINOTransform(
        global_crop_size=64, local_crop_size=32,
        n_local_views=options.local_views, vf_prob=0.5))
    loader = DataLoader(
        data, options.batch_size, shuffle=True, drop_last=True,
        num_workers=options.workers, persistent_workers=options.workers > 0,
        generator=torch.Generator().manual_seed(options.seed))

    def branch() -> nn.ModuleDict:
        return nn.ModuleDict(dict(
            backbone=vit_tiny(),
            head=DINOProjectionHead(192, 2048, 256, options.output_dims,
                                    freeze_last_layer=1)))

    student, teacher = branch(), branch()  # weight_norm forbids deepcopy
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False)
    criterion = DINOLoss(output_dim=options.output_dims)
    optimizer = torch.optim.AdamW(student.parameters(),
                                  options.learning_rate,
                                  weight_decay=options.weight_decay)

    def encode(parts: nn.ModuleDict, views: Sequence[Tensor]
               ) -> list[Tensor]:
        features = parts['backbone'](torch.cat(list(views)))
        return list(parts['head'](features).float().chunk(len(views)))

    losses: list[float] = []
    start = time.perf_counter()
    budget = 60 * options.minutes
    bar = tqdm(total=round(budget), unit='s', desc='DINO', leave=False,
               disable=None)
    passed, epoch = 0.0, 0
    while passed < 1:
        for views in loader:
            passed = (time.perf_counter() - start) / budget
            if options.max_steps is not None:
                passed = max(passed, len(losses) / options.max_steps)
            if passed >= 1:
                break
            for group in optimizer.param_groups:
                group['lr'] = options.learning_rate * min(
                    10 * passed + 0.01, _cosine(passed))
            with torch.autocast('cpu', torch.bfloat16,
                                enabled=options.bfloat16):
                with torch.no_grad():
                    target = encode(teacher, views[:2])
                found = encode(student, views[:2]) + encode(student,
                                                            views[2:])
            loss = criterion(target, found)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f'the loss of step {len(losses)} is '
                                         'not finite; lower the learning '
                                         'rate')
            optimizer.zero_grad()
            loss.backward()
            # For the first twentieth the prototypes stay.
            student['head'].cancel_last_layer_gradients(
                0 if passed < 0.05 else 1)
            nn.utils.clip_grad_norm_(student.parameters(), 3.0)
            optimizer.step()
            update_momentum(student, teacher,
                            1 - (1 - options.momentum) * _cosine(passed))
            bar.n = round(min(passed, 1) * budget)
            bar.set_postfix(loss=f'{losses[-1]:.3f}', refresh=True)
        epoch += 1
    bar.close()
    tenths = np.array_split(np.array(losses), min(10, len(losses)))
    return dict(teacher['backbone'].state_dict()), dict(
        options=asdict(options), steps=len(losses),
        images_seen=len(losses) * options.batch_size, images=len(paths),
        seconds=round(time.perf_counter() - start, 1),
        losses=[round(float(part.mean()), 4) for part in tenths])


def _cosine(passed: float) -> float:
    """From 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))
