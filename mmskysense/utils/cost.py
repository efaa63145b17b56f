# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a pre-training run costs, before anything is bought or waited for.

Parameters and floating-point operations are counted. Memory is estimated,
in float32, from the tensors that a step keeps alive (:mod:`.meta_step`):
what the allocator, the CUDA context and communication add is not in it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from mmskysense.models.layers import MixtureOfExperts
from mmskysense.registry import MODELS
from mmskysense.sensors import get_sensor
from mmskysense.structures import ViewBatch

from .meta_step import StepCost, measure_step

_GIB = 2**30


@dataclass(frozen=True)
class Parameters:
    """Parameters of the student; the teacher has as many.

    Args:
        total: All.
        active: Those that a token meets: of the experts only ``top_k``.
        trainable: Those that the optimiser moves.
        encoder: All of the encoder.
    """

    total: int
    active: int
    trainable: int
    encoder: int


@dataclass(frozen=True)
class Memory:
    """GiB on each GPU, in float32.

    Args:
        weights: Student and teacher, with their buffers.
        optimizer: The optimiser's states.
        step: The most that the rest takes at once: the batch, activations,
            temporary tensors and gradients of a step, or, if that is more,
            gradients and temporary tensors of the optimiser.
        communication: Buckets in which DistributedDataParallel averages
            gradients, with more than one GPU.
    """

    weights: float
    optimizer: float
    step: float
    communication: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.optimizer + self.step + self.communication


@dataclass(frozen=True)
class Plan:
    """What :func:`plan` found.

    Args:
        gpus: GPUs.
        batch_per_gpu: Tiles of a GPU.
        parameters: Of the model.
        step: A step of one GPU.
        memory: On each GPU.
        sharding: ``'none'``, ``'optimizer'`` or ``'all'``: what every GPU
            has only a part of.
        assumptions: What the config does not say.
    """

    gpus: int
    batch_per_gpu: int
    parameters: Parameters
    step: StepCost
    memory: Memory
    sharding: str
    assumptions: tuple[str, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations of a step on all GPUs."""
        return self.step.flops * self.gpus

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        result = asdict(self)
        result['step']['flops'] = self.step.flops
        result['memory']['total'] = self.memory.total
        return dict(result, flops=self.flops,
                    batch=self.batch_per_gpu * self.gpus)

    def metadata(self) -> dict[str, int | float]:
        """Entries of a model's ``Metadata`` in a metafile.

        Parameters of the student, operations of a step on all GPUs, GiB of
        one GPU.
        """
        return {
            'Parameters': self.parameters.total,
            'FLOPs': self.flops,
            'Memory (GB)': round(self.memory.total, 1),
        }


def count_parameters(student: nn.Module) -> Parameters:
    """Count the parameters of the student (or of any model)."""
    total = sum(p.numel() for p in student.parameters())
    idle = 0
    for module in student.modules():
        if isinstance(module, MixtureOfExperts):
            experts = sum(p.numel() for p in module.experts.parameters())
            unused = module.num_experts - module.router.top_k
            idle += experts // module.num_experts * unused
    encoder = student['backbone'] if isinstance(student, nn.ModuleDict) \
        and 'backbone' in student else student
    return Parameters(
        total=total, active=total - idle,
        trainable=sum(p.numel() for p in student.parameters()
                      if p.requires_grad),
        encoder=sum(p.numel() for p in encoder.parameters()))


def build_on_meta(cfg: Config) -> nn.Module:
    """The config's model on the meta device: no memory, no numbers.

    Raises:
        ValueError: It is no pre-trainer.
    """
    kind = str(cfg.get('model', {}).get('type', 'none'))
    if not kind.endswith('SkySenseV2Pretrainer'):
        raise ValueError(
            f'{cfg.filename}: expected a pre-training config, whose model is '
            f'mmskysense.SkySenseV2Pretrainer, found {kind}; those are in '
            'configs/skysense_v2')
    settings = {k: v for k, v in cfg.model.items()
                if k != 'data_preprocessor'}
    with torch.device('meta'):
        # Tables of class names are read from files.
        return MODELS.build(settings).to('meta')


def views_on_meta(cfg: Config) -> tuple[dict[str, ViewBatch], list[str]]:
    """The batch of one GPU as the pipeline of the config cuts it.

    Returns:
        dict(global=..., local=...), and what the config does not say.

    Raises:
        ValueError: Neither the pipeline has ``MultiCropViews``, nor the data
            preprocessor ``views``.
    """
    loader = cfg.get('train_dataloader', {})
    steps = {
        str(step['type']).split('.')[-1]: step
        for step in loader.get('dataset', {}).get('pipeline', ())
    }
    batched = cfg.get('data_preprocessor', {}).get('views')
    crop = batched or steps.get('MultiCropViews')
    if crop is None:
        raise ValueError(
            f'{cfg.filename}: expected MultiCropViews in train_dataloader.'
            f'dataset.pipeline, found {list(steps) or "none"}; without it '
            'nobody knows how large the views are')
    dates, assumed = {}, []
    for sensor in crop['sizes']:
        count = _num_dates(sensor, crop, steps.get('LoadMultiSensorTile', {}))
        if count is None:
            assumed.append(f'1 date of {sensor} in each view')
        dates[sensor] = count or 1
    views = {}
    for index, (kind, default) in enumerate((('global', 2), ('local', 4))):
        count = crop.get(f'{kind}_views', default)
        if count:
            views[kind] = _view_batch(crop, dates, index, count,
                                      loader['batch_size'])
    return views, assumed


def _num_dates(sensor: str, crop: Mapping[str, Any],
               load: Mapping[str, Any]) -> int | None:
    """Most dates in a view, None where nothing limits them."""
    limits = []
    for step in (crop, load):
        limit = step.get('num_dates')
        if isinstance(limit, Mapping):
            limit = limit.get(sensor)
        if limit is not None:
            limits.append(int(limit))
    return min(limits, default=None)


def _view_batch(crop: Mapping[str, Any], dates: Mapping[str, int],
                index: int, views: int, batch: int) -> ViewBatch:
    """Views of one kind; ``index`` 0 is global, 1 local."""

    def empty(*shape: int, dtype: torch.dtype = torch.float32
              ) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device='meta')

    images, valid, days = {}, {}, {}
    for sensor, sizes in crop['sizes'].items():
        side, count = sizes[index], dates[sensor]
        images[sensor] = empty(views, batch, count,
                               get_sensor(sensor).num_bands, side, side)
        valid[sensor] = empty(views, batch, count, side, side,
                              dtype=torch.bool)
        days[sensor] = empty(views, batch, count, dtype=torch.int64)
    labels = None
    if crop.get('label_sizes'):
        side = crop['label_sizes'][index]
        labels = empty(views, batch, side, side, dtype=torch.int64)
    return ViewBatch(images, valid, days, empty(views, batch, 4),
                     empty(views, batch, 2, dtype=torch.bool), labels,
                     empty(batch, 2))


def sharding_of(cfg: Config) -> str:
    """What the config shards: ``'none'``, ``'optimizer'`` or ``'all'``."""
    for key in ('strategy', 'model_wrapper_cfg'):
        kind = str((cfg.get(key) or {}).get('type', ''))
        if 'FSDP' in kind or 'FullySharded' in kind:
            return 'all'
    optimizer = cfg.get('optim_wrapper', {}).get('optimizer', {})
    zero = 'ZeroRedundancyOptimizer' in str(optimizer.get('type', ''))
    return 'optimizer' if zero else 'none'


def estimate_memory(model: nn.Module, step: StepCost, gpus: int,
                    sharding: str = 'none') -> Memory:
    """Memory of each GPU with AdamW.

    Args:
        model: The pre-trainer.
        step: Of :func:`measure_step`.
        gpus: GPUs.
        sharding: See :func:`sharding_of`. Fully sharded, the weights of one
            child of student and teacher at a time are whole.

    Returns:
        GiB.
    """
    held = float(sum(t.numel() * t.element_size()
                     for t in (*model.parameters(), *model.buffers())))
    gradients = float(step.gradient_bytes)
    # AdamW keeps two numbers for each parameter, and its step on a GPU one
    # more at a time.
    states, scratch = 2 * gradients, gradients
    buckets = gradients if gpus > 1 else 0.0
    peak = float(step.peak_bytes)
    if sharding != 'none':
        states, scratch = states / gpus, scratch / gpus
    if sharding == 'all':
        whole = max((sum(p.numel() * p.element_size()
                         for p in block.parameters())
                     for block in _blocks(model)), default=0)
        held = held / gpus + 2 * whole
        # At the peak no more than this part of them can be missing.
        peak = max(peak - gradients, 0) + gradients / gpus + whole
        gradients, buckets = gradients / gpus, 0
    return Memory(
        weights=held / _GIB, optimizer=states / _GIB,
        step=(step.input_bytes + max(peak, gradients + scratch)) / _GIB,
        communication=buckets / _GIB)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """What a sharded run gathers as one: blocks, layers and heads."""
    return [m for m in model.modules()
            if type(m).__name__ in ('SwinV2Block', 'GlobalBlock',
                                    'MaskedSequenceLayer',
                                    'ProjectionHead')]


def plan(cfg: Config, gpus: int = 1) -> Plan:
    """Parameters, operations and memory of a pre-training config.

    Args:
        cfg: The config; its batch size is that of one GPU.
        gpus: GPUs, each with such a batch.

    Raises:
        ValueError: No pre-training config, or ``gpus`` below 1.
    """
    if gpus < 1:
        raise ValueError(f'gpus={gpus}: expected at least 1')
    model = build_on_meta(cfg)
    views, assumed = views_on_meta(cfg)
    sharding = sharding_of(cfg)
    step = measure_step(model, views)
    if any(isinstance(m, MixtureOfExperts) for m in model.modules()):
        assumed.append('every expert gets as many tokens as the others')
    return Plan(
        gpus=gpus, batch_per_gpu=cfg.train_dataloader.batch_size,
        parameters=count_parameters(model.student), step=step,
        memory=estimate_memory(model, step, gpus, sharding),
        sharding=sharding, assumptions=tuple(assumed))
