# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The hook that runs self-distillation: schedules, teacher, watching."""

import math
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.optim import Optimizer

from mmskysense.models.pretrain import ProjectionHead
from mmskysense.registry import HOOKS

from .pretrain_monitor import (
    FiniteLossWatch,
    expert_load,
    find_collapse,
    not_finite,
    tile_names,
)
from .schedules import cosine, linear_warmup

# exp(-2 / 0.03), of the lowest cosine, is near float32's end.
_LEAST_TEMPERATURE = 0.03


@HOOKS.register_module()
class QSACLHook(Hook):
    """Schedules, EMA teacher, frozen prototypes and warnings of collapse.

    Every value is a function of ``runner.iter`` alone, so that a resumed
    run continues exactly. Default values are ours (spec section 3).

    Args:
        teacher_temperature: First and last value, each 0.03 or more; linear.
        teacher_temperature_iters: Length of that ramp.
        momentum: First and last EMA momentum; cosine over the whole run.
            The teacher moves only after an iteration in which the
            optimiser's ``step`` ran: not while gradients accumulate, nor
            when float16's loss scaling skips a step. Two skips go unseen
            and the teacher moves: those of fused optimisers, which skip
            inside ``step``, and those of optimisers outside
            ``torch.optim``.
        freeze_prototypes_iters: Prototypes do not move before this
            iteration.
        loss_warmup: Term (``'qsacl'``, ``'image'``, ``'pixel'``,
            ``'object'``, ``'text'``, ``'koleo'``) -> iterations over which
            its weight rises from 0 to the config's.
        interval: Iterations between two looks at the statistics and at
            whether losses are finite.
        warn_after: No warning of collapse before this iteration: a new
            model's features do look alike.
    """

    priority = 'NORMAL'

    def __init__(self,
                 teacher_temperature: tuple[float, float] = (0.04, 0.07),
                 teacher_temperature_iters: int = 1000,
                 momentum: tuple[float, float] = (0.992, 0.9999),
                 freeze_prototypes_iters: int = 0,
                 loss_warmup: Mapping[str, int] | None = None,
                 interval: int = 50,
                 warn_after: int = 500) -> None:
        if min(teacher_temperature) < _LEAST_TEMPERATURE:
            raise ValueError(
                f'teacher_temperature={teacher_temperature}: expected two '
                f'numbers from {_LEAST_TEMPERATURE} on; below it exp(cosine '
                '/ temperature) leaves the range of float32')
        for name, count in (
                ('teacher_temperature_iters', teacher_temperature_iters),
                ('freeze_prototypes_iters', freeze_prototypes_iters),
                ('warn_after', warn_after)):
            if count < 0:
                raise ValueError(f'{name}={count}: expected at least 0')
        if not all(0 <= value <= 1 for value in momentum):
            raise ValueError(f'momentum={momentum}: expected two numbers '
                             'from 0 to 1')
        if interval < 1:
            raise ValueError(f'interval={interval}: expected at least 1')
        first, last = teacher_temperature
        self.teacher_temperature = (float(first), float(last))
        self.teacher_temperature_iters = teacher_temperature_iters
        first, last = momentum
        self.momentum = (float(first), float(last))
        self.freeze_prototypes_iters = freeze_prototypes_iters
        self.loss_warmup = dict(loss_warmup or {})
        self.interval, self.warn_after = interval, warn_after
        self._weights: dict[str, float] = {}
        self._watch = FiniteLossWatch()
        self._warned: set[str] = set()
        self._stepped = False
        self._step_watches: list[Any] = []
        self._data_batch: Any = None

    def values(self, iteration: int, max_iters: int) -> dict[str, float]:
        """Teacher temperature and momentum of an iteration.

        Args:
            iteration: From 0.
            max_iters: Length of the run.
        """
        return dict(
            teacher_temperature=linear_warmup(
                *self.teacher_temperature, iteration,
                self.teacher_temperature_iters),
            teacher_momentum=cosine(*self.momentum, iteration, max_iters))

    def before_train(self, runner: Runner) -> None:
        """Remember the configured weights; refuse another kind of model."""
        model = _model(runner)
        if not hasattr(model, 'update_teacher'):
            raise TypeError(
                'QSACLHook needs a SkySenseV2Pretrainer, found '
                f'{type(model).__name__}; take the hook out of custom_hooks')
        self._weights = dict(model.loss_weights)
        unknown = sorted(set(self.loss_warmup) - set(self._weights))
        if unknown:
            raise ValueError(f'loss_warmup has {unknown}, expected some of '
                             f'{sorted(self._weights)}')
        self._watch_steps(runner)

    def _watch_steps(self, runner: Runner) -> None:
        """Have the optimiser tell of its steps, and refuse a spoilt one.

        A gradient scaler that finds infinities does not call ``step``; the
        wrapper's counters do not know of that. A gradient that is not finite
        would spoil every weight: the wrapper has just read its norm, where
        it clips, so that looking at it waits for nothing.
        """
        self._forget_steps()
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        if isinstance(optimizer, Optimizer):
            def note(*_: Any) -> None:
                self._stepped = True

            def refuse(*_: Any) -> None:
                norm = runner.message_hub.log_scalars.get('train/grad_norm')
                clips = getattr(runner.optim_wrapper, 'clip_grad_kwargs', None)
                if clips and norm and not math.isfinite(norm.current()):
                    raise not_finite('gradient', runner.iter + 1,
                                     tile_names(self._data_batch))

            self._step_watches = [
                optimizer.register_step_pre_hook(refuse),
                optimizer.register_step_post_hook(note)]

    def _forget_steps(self) -> None:
        for watch in self._step_watches:
            watch.remove()
        self._step_watches = []

    def after_train(self, runner: Runner) -> None:
        """Give the configured weights back; a last look at the losses."""
        self._forget_steps()
        self._data_batch = None
        _model(runner).loss_weights.update(self._weights)
        self._watch.check()

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: Any = None) -> None:
        """Set what depends on the iteration."""
        model, step = _model(runner), runner.iter
        self._stepped, self._data_batch = False, data_batch
        values = self.values(step, runner.max_iters)
        model.teacher_temperature = values['teacher_temperature']
        for term, length in self.loss_warmup.items():
            # From the first iteration on the weight is above zero.
            model.loss_weights[term] = self._weights[term] * linear_warmup(
                0.0, 1.0, step + 1, length)
        for module in model.student.modules():
            if isinstance(module, ProjectionHead):
                module.prototypes_frozen = step < self.freeze_prototypes_iters
        model.collect_statistics = self.every_n_train_iters(
            runner, self.interval)
        hub = runner.message_hub
        for name, value in values.items():
            hub.update_scalar(f'train/{name}', value)

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: Any = None,
                         outputs: Mapping[str, Any] | None = None) -> None:
        """Move the teacher; every ``interval`` iterations look closer."""
        model = _model(runner)
        # True after the wrapper's turn to step, not while it accumulates.
        moved = runner.optim_wrapper.should_update()
        if self._step_watches:
            moved = self._stepped
        if moved:
            momentum = self.values(runner.iter,
                                   runner.max_iters)['teacher_momentum']
            model.update_teacher(momentum)
        if outputs and 'loss' in outputs:
            self._watch.add(outputs['loss'], data_batch, runner.iter + 1)
        if not self.every_n_train_iters(runner, self.interval):
            return
        self._watch.check()
        self._report(runner, model)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict
                               ) -> None:
        """Never write weights that a loss which is not finite has spoilt."""
        self._watch.check()

    def _report(self, runner: Runner, model: nn.Module) -> None:
        """Log statistics and warn, of each collapse once."""
        statistics = {**model.statistics, **expert_load(model.student)}
        hub = runner.message_hub
        for name, value in statistics.items():
            value = value.float()
            hub.update_scalar(f'train/{name}', float(value.mean()))
            if value.numel() > 1:
                hub.update_scalar(f'train/{name}_min', float(value.min()))
        if runner.iter + 1 < self.warn_after:
            return
        for kind, advice in find_collapse(model.statistics).items():
            if kind not in self._warned:
                self._warned.add(kind)
                print_log(
                    f'Collapse ({kind}) at iteration {runner.iter + 1}: '
                    f'{advice}.', logger='current', level=30)


def _model(runner: Runner) -> Any:
    model = runner.model
    return model.module if is_model_wrapper(model) else model
