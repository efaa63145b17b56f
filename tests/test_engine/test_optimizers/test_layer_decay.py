# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmskysense import SkySenseV2


class Segmentor(nn.Module):
    """A backbone and a head, as every host arranges them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SkySenseV2('tiny', num_prompts=2)
        self.head = nn.Conv2d(384, 2, 1)


class Forwarding(Segmentor):
    """Answers for its backbone, as mmpretrain's classifier does."""

    def get_layer_depth(self, name: str, prefix: str = '') -> tuple[int, int]:
        raise AssertionError('the innermost module must be asked')


def build(model: nn.Module, **paramwise):
    return build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.05),
            constructor='mmskysense.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise)).optimizer


def settings(model: nn.Module, optimizer) -> dict[str, tuple[float, float]]:
    names = {id(p): n for n, p in model.named_parameters()}
    return {
        names[id(p)]: (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for p in group['params']
    }


@pytest.mark.parametrize('wrap', [Segmentor, Forwarding])
def test_rates_follow_the_depth(wrap):
    model = wrap()
    found = settings(model, build(model, layer_decay_rate=0.5))
    assert len(found) == len(list(model.parameters()))
    assert found['head.weight'] == (1e-2, 0.05)
    assert found['head.bias'] == (1e-2, 0.0)
    backbone = model.backbone
    for name, (rate, _) in found.items():
        if name.startswith('backbone.'):
            depth, count = backbone.get_layer_depth(name, 'backbone.')
            assert rate == pytest.approx(1e-2 * 0.5**(count - 1 - depth)), name
    lowest = min(rate for rate, _ in found.values())
    tokenizer = next(n for n in found if 'tokenizers' in n)
    assert found[tokenizer][0] == lowest


def test_no_weight_decay_where_it_has_no_meaning():
    model = Segmentor()
    found = settings(model, build(model))
    for name, parameter in model.named_parameters():
        free = (
            parameter.ndim < 2 or 'prompts' in name or 'logit_scale' in name)
        assert found[name][1] == (0.0 if free else 0.05), name
    assert any('prompts' in name for name in found)
    assert any('logit_scale' in name for name in found)


def test_frozen_parameters_are_left_out():
    model = Segmentor()
    model.backbone.stages[0].requires_grad_(False)
    found = settings(model, build(model))
    assert not any(name.startswith('backbone.stages.0') for name in found)


def test_works_without_layers_at_rate_one():
    model = nn.Linear(3, 2)
    found = settings(model, build(model, layer_decay_rate=1.0))
    assert found == {'weight': (1e-2, 0.05), 'bias': (1e-2, 0.0)}


def test_a_step_moves_higher_layers_more():
    model = Segmentor()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = build(model, layer_decay_rate=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moved = {
        n: (p.detach() - before[n]).abs().mean().item()
        for n, p in model.named_parameters()
    }
    tokenizer = next(n for n in moved if 'tokenizers' in n and 'bias' in n)
    assert moved['head.bias'] > 10 * moved[tokenizer]


@pytest.mark.parametrize('options, message', [
    (dict(layer_decay_rate=0), 'layer_decay_rate=0: expected above 0'),
    (dict(layer_decay_rate=1.1), 'at most 1'),
    (dict(norm_decay_mult=0), r"\['norm_decay_mult'\]"),
    (dict(), 'no module of Linear has get_layer_depth'),
])
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        build(nn.Linear(3, 2), **options)
