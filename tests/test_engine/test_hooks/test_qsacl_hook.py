# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""QSACLHook: schedules, the teacher's steps, and what it warns of."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import nn

from mmskysense.engine.hooks import QSACLHook
from mmskysense.engine.hooks.pretrain_monitor import (
    FiniteLossWatch,
    expert_load,
    find_collapse,
)
from mmskysense.engine.hooks.schedules import cosine, linear_warmup
from mmskysense.models.layers import MixtureOfExperts
from mmskysense.models.pretrain import ProjectionHead

HEALTHY = dict(
    usage_entropy=torch.tensor([0.8, 0.6]),
    assignment_entropy=torch.tensor([0.5, 0.7]),
    feature_spread=torch.tensor(0.6),
    attention_overlap=torch.tensor(0.7))
COLLAPSES = {
    'one prototype': dict(usage_entropy=torch.tensor([0.0, 0.01])),
    'uniform targets': dict(assignment_entropy=torch.tensor([1.0, 0.999])),
    'equal features': dict(feature_spread=torch.tensor(0.001)),
    'equal queries': dict(attention_overlap=torch.tensor(1.0)),
}


class Model(nn.Module):
    """What the hook needs of a pre-trainer."""

    def __init__(self):
        super().__init__()
        head = ProjectionHead(4, 8, hidden_channels=4, bottleneck_channels=4)
        self.student = nn.ModuleDict(dict(head=head))
        self.loss_weights = dict(qsacl=2.0, image=1.0, koleo=0.1)
        self.teacher_temperature = None
        self.statistics = dict(HEALTHY)
        self.collect_statistics = False
        self.momenta = []

    def update_teacher(self, momentum):
        self.momenta.append(momentum)


class Wrapper:
    """Counts as mmengine's OptimWrapper does."""

    def __init__(self, accumulative_counts=1):
        self.counts, self.inner = accumulative_counts, 0

    def should_update(self):
        return self.inner % self.counts == 0


def make_runner(model, name, counts=1):
    return SimpleNamespace(
        model=model, iter=0, max_iters=100, optim_wrapper=Wrapper(counts),
        message_hub=MessageHub.get_instance(name))


def run(runner, hook, iterations, start=0, loss=1.0, tiles=('a', 'b')):
    hook.before_train(runner)
    samples = [dict(tile_id=tile) for tile in tiles]
    for step in range(start, start + iterations):
        runner.iter = step
        hook.before_train_iter(runner, step)
        runner.optim_wrapper.inner += 1
        hook.after_train_iter(runner, step, dict(data_samples=samples),
                              dict(loss=torch.tensor(loss)))


@pytest.mark.parametrize('step, expected', [
    (0, 0.04), (25, 0.055), (50, 0.07), (99, 0.07)])
def test_linear_warmup(step, expected):
    assert linear_warmup(0.04, 0.07, step, 50) == pytest.approx(expected)


@pytest.mark.parametrize('step, expected', [
    (0, 0.992), (50, (0.992 + 0.9999) / 2), (100, 0.9999), (130, 0.9999),
    (25, 0.9999 - 0.0079 * (1 + math.cos(math.pi / 4)) / 2)])
def test_cosine(step, expected):
    assert cosine(0.992, 0.9999, step, 100) == pytest.approx(expected)


def test_the_model_gets_what_the_schedules_say():
    model, hook = Model(), QSACLHook(
        teacher_temperature_iters=10, freeze_prototypes_iters=4,
        loss_warmup=dict(image=10), interval=3)
    runner = make_runner(model, 'schedules')
    head = model.student['head']
    seen = []
    hook.before_train(runner)
    for runner.iter in range(12):
        hook.before_train_iter(runner, runner.iter)
        seen.append((model.teacher_temperature, model.loss_weights['image'],
                     head.prototypes_frozen, model.collect_statistics))
    assert [s[0] for s in seen[:11:5]] == pytest.approx([0.04, 0.055, 0.07])
    assert [s[1] for s in seen[::4]] == pytest.approx([0.1, 0.5, 0.9])
    assert seen[-1][1] == 1.0
    assert [s[2] for s in seen] == [True] * 4 + [False] * 8
    assert [s[3] for s in seen] == [i % 3 == 2 for i in range(12)]
    assert model.loss_weights['qsacl'] == 2.0
    hook.after_train(runner)
    assert model.loss_weights == dict(qsacl=2.0, image=1.0, koleo=0.1)


def test_resuming_continues_the_schedules():
    whole, parts = Model(), Model()
    run(make_runner(whole, 'whole'), QSACLHook(), 8)
    run(make_runner(parts, 'first'), QSACLHook(), 5)
    run(make_runner(parts, 'second'), QSACLHook(), 3, start=5)
    assert whole.momenta == parts.momenta and len(whole.momenta) == 8
    assert whole.teacher_temperature == parts.teacher_temperature


def test_the_teacher_moves_only_with_real_steps():
    model, hook = Model(), QSACLHook(momentum=(0.9, 1.0))
    run(make_runner(model, 'accumulation', counts=2), hook, 6)
    expected = [hook.values(step, 100)['teacher_momentum']
                for step in (1, 3, 5)]
    assert model.momenta == expected


class Skipping(OptimWrapper):
    """Steps as AmpOptimWrapper does: through a scaler that may skip.

    The real one refuses to be built without a GPU.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.scaler = torch.amp.GradScaler('cpu', init_scale=8.0)

    def step(self):
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def backward(self, loss):
        self.scaler.scale(loss).backward()
        self._inner_count += 1


@pytest.mark.parametrize('counts', [1, 2])
def test_the_teacher_waits_when_the_scaler_skips_a_step(counts):
    model, hook = Model(), QSACLHook()
    runner = make_runner(model, 'skips')
    wrapper = Skipping(optimizer=torch.optim.AdamW(model.parameters()),
                       accumulative_counts=counts)
    wrapper.initialize_count_status(model, 0, 6)
    runner.optim_wrapper = wrapper
    moved = []
    hook.before_train(runner)
    for runner.iter in range(6):
        hook.before_train_iter(runner, runner.iter)
        before = [p.detach().clone() for p in model.parameters()]
        overflow = math.inf if runner.iter in (2, 3) else 1.0
        wrapper.update_params(
            sum(p.square().sum() for p in model.parameters()) * overflow)
        steps = len(model.momenta)
        hook.after_train_iter(runner, runner.iter)
        moved.append(len(model.momenta) > steps)
        assert moved[-1] != all(
            torch.equal(*pair)
            for pair in zip(before, model.parameters(), strict=True))
    assert moved == {1: [True, True, False, False, True, True],
                     2: [False, True, False, False, False, True]}[counts]
    hook.after_train(runner)
    assert not wrapper.optimizer._optimizer_step_post_hooks


@pytest.mark.parametrize('kind', COLLAPSES)
def test_collapse_is_found_and_named(kind):
    found = find_collapse({**HEALTHY, **COLLAPSES[kind]})
    assert list(found) == [kind] and ':' in found[kind]


def test_healthy_statistics_raise_no_alarm():
    assert find_collapse(HEALTHY) == {}
    assert find_collapse({}) == {}


def warnings_of(monkeypatch, statistics, iterations, **options):
    lines = []
    monkeypatch.setattr(
        'mmskysense.engine.hooks.qsacl_hook.print_log',
        lambda text, **kwargs: lines.append((text, kwargs['level'])))
    model = Model()
    model.statistics = statistics
    run(make_runner(model, 'warnings'), QSACLHook(**options), iterations)
    return lines


def test_warns_once_after_the_beginning(monkeypatch):
    collapsed = {**HEALTHY, **COLLAPSES['equal features']}
    options = dict(interval=2, warn_after=6)
    assert warnings_of(monkeypatch, collapsed, 5, **options) == []
    lines = warnings_of(monkeypatch, collapsed, 20, **options)
    assert len(lines) == 1 and lines[0][1] == logging.WARNING
    assert 'equal features' in lines[0][0] and 'KoLeo' in lines[0][0]
    assert warnings_of(monkeypatch, HEALTHY, 20, **options) == []


def test_statistics_reach_the_log():
    model = Model()
    runner = make_runner(model, 'scalars')
    run(runner, QSACLHook(interval=2), 4)
    scalars = runner.message_hub.log_scalars
    assert scalars['train/usage_entropy'].current() == pytest.approx(0.7)
    assert scalars['train/usage_entropy_min'].current() == pytest.approx(0.6)
    assert 'train/teacher_momentum' in scalars


def test_a_loss_that_blows_up_names_its_tiles():
    model = Model()
    runner, hook = make_runner(model, 'nan'), QSACLHook(interval=5)
    run(runner, hook, 2)
    run(runner, hook, 1, start=2, loss=float('nan'), tiles=('0007', '0009'))
    with pytest.raises(FloatingPointError, match='iteration 3.*0007, 0009'):
        run(runner, hook, 2, start=3, loss=float('nan'), tiles=('later', ))


def test_spoilt_weights_are_not_saved():
    runner, hook = make_runner(Model(), 'save'), QSACLHook(interval=50)
    run(runner, hook, 2)
    hook.before_save_checkpoint(runner, {})
    run(runner, hook, 1, start=2, loss=float('inf'))
    with pytest.raises(FloatingPointError):
        hook.before_save_checkpoint(runner, {})


@pytest.mark.parametrize('clips', [True, False])
def test_a_spoilt_gradient_is_not_stepped(clips):
    """A real wrapper: weights stay as they were, the tiles are named."""
    model = nn.Linear(2, 1)
    pretrainer = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    wrapper = OptimWrapper(
        optimizer, clip_grad=dict(max_norm=1.0) if clips else None)
    runner = make_runner(pretrainer, f'gradient-{clips}')
    runner.optim_wrapper = wrapper
    wrapper.message_hub = runner.message_hub
    hook = QSACLHook(interval=50)
    hook.before_train(runner)

    def step(scale):
        batch = dict(data_samples=[dict(tile_id='0042')])
        hook.before_train_iter(runner, runner.iter, batch)
        # Finite itself; the gradient of a root at 0 is not.
        loss = (model(torch.ones(1, 2)) * scale).sqrt().sum() * 0 + 1 \
            if scale == 0 else model(torch.ones(1, 2)).sum()
        wrapper.update_params(loss)
        hook.after_train_iter(runner, runner.iter, batch, dict(loss=loss))
        runner.iter += 1

    step(1)
    before = model.weight.detach().clone()
    if clips:
        with pytest.raises(FloatingPointError,
                           match='gradient of iteration 2.*0042'):
            step(0)
        assert torch.equal(model.weight, before)
        assert len(pretrainer.momenta) == 1
        hook.before_save_checkpoint(runner, {})
    hook.after_train(runner)
    step_hooks = (optimizer._optimizer_step_pre_hooks,
                  optimizer._optimizer_step_post_hooks)
    assert not any(step_hooks)


def test_watch_forgets_what_it_has_checked():
    watch = FiniteLossWatch()
    watch.add(torch.tensor(1.0), {}, 1)
    watch.check()
    watch.check()


def test_expert_load():
    mixture = MixtureOfExperts(4, 8, num_experts=3)
    # Two passes of a step: neither alone is what the step did.
    mixture.choices = torch.tensor([6, 0, 2]) + torch.tensor([1, 1, 0])
    load = expert_load(nn.Sequential(mixture, nn.Linear(1, 1)))
    assert float(load['moe_max_load']) == pytest.approx(0.7)
    assert float(load['moe_min_load']) == pytest.approx(0.1)
    assert mixture.choices is None
    assert expert_load(nn.Linear(1, 1)) == {}


@pytest.mark.parametrize('options', [
    dict(interval=0), dict(momentum=(0.9, 1.1)),
    dict(teacher_temperature_iters=-1), dict(warn_after=-1),
    dict(freeze_prototypes_iters=-1), dict(teacher_temperature=(0.02, 0.04)),
    dict(teacher_temperature=(0.0, 0.1))])
def test_refuses(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        QSACLHook(**options)


def test_refuses_models_and_terms_it_does_not_know():
    with pytest.raises(TypeError, match='SkySenseV2Pretrainer'):
        QSACLHook().before_train(make_runner(nn.Linear(1, 1), 'other'))
    with pytest.raises(ValueError, match='ita'):
        QSACLHook(loss_warmup=dict(ita=5)).before_train(
            make_runner(Model(), 'terms'))
