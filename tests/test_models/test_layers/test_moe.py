# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Mixture of experts against a dense loop and the Switch definition."""

import numpy as np
import pytest
import torch

from mmskysense.models.layers import (
    FeedForward,
    MixtureOfExperts,
    balance_loss,
    router_z_loss,
    share_balance,
    take_choices,
)


def _mixture(num_experts: int = 4, top_k: int = 1,
             **options) -> MixtureOfExperts:
    torch.manual_seed(0)
    mixture = MixtureOfExperts(16, 64, num_experts, top_k, **options)
    with torch.no_grad():  # experts start equal: make them differ
        for parameter in mixture.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return mixture


def _every_expert_on_every_token(mixture: MixtureOfExperts,
                                 x: torch.Tensor) -> torch.Tensor:
    experts = mixture.experts
    probability = (x @ mixture.router.gate.weight.T).softmax(-1)
    outputs = torch.stack([
        torch.nn.functional.gelu(x @ w1.T + b1) @ w2.T + b2
        for w1, b1, w2, b2 in zip(experts.weight1, experts.bias1,
                                  experts.weight2, experts.bias2, strict=True)
    ], dim=-2)
    kept = torch.zeros_like(probability)
    top = probability.topk(mixture.router.top_k, dim=-1)
    kept.scatter_(-1, top.indices, top.values)
    return (kept[..., None] * outputs).sum(-2)


@pytest.mark.parametrize('num_experts,top_k', [(1, 1), (4, 1), (8, 1), (4, 2),
                                               (4, 4)])
def test_equals_computing_every_expert(num_experts: int, top_k: int) -> None:
    mixture = _mixture(num_experts, top_k).eval()
    x = torch.randn(3, 10, 16)
    torch.testing.assert_close(
        mixture(x), _every_expert_on_every_token(mixture, x),
        atol=1e-5, rtol=1e-5)


def test_gradients_equal_computing_every_expert() -> None:
    mixture = _mixture(balance_weight=0.0)
    x = torch.randn(40, 16)
    weight = torch.randn(40, 16)
    (mixture(x) * weight).sum().backward()
    ours = {n: p.grad.clone() for n, p in mixture.named_parameters()}
    mixture.zero_grad()
    (_every_expert_on_every_token(mixture, x) * weight).sum().backward()
    for name, parameter in mixture.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad,
                                   atol=1e-5, rtol=1e-4)
    assert ours['router.gate.weight'].abs().sum() > 0


def test_grouped_products_equal_the_loop() -> None:
    """What runs on a GPU in bfloat16, here in float32 on the CPU."""
    mixture = _mixture()
    x = torch.randn(30, 16)
    load = torch.tensor([5, 0, 20, 5])
    expert = torch.repeat_interleave(torch.arange(4), load)
    torch.testing.assert_close(
        mixture.experts._grouped(x, expert, load),
        mixture.experts(x, expert, load), atol=1e-5, rtol=1e-5)


def test_losses_equal_their_definitions() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4)).astype(np.float32)
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    chosen = probability.argmax(1)
    expected = 0.0
    for expert in range(4):  # Switch Transformers, equations 4 to 6
        fraction = np.mean(chosen == expert)
        expected += fraction * probability[:, expert].mean()
    load = torch.from_numpy(np.bincount(chosen, minlength=4))
    assert balance_loss(torch.from_numpy(logits), load).item() == (
        pytest.approx(4 * expected, rel=1e-5))
    z_loss = np.mean(np.log(np.exp(logits).sum(1))**2)
    assert router_z_loss(torch.from_numpy(logits)).item() == (
        pytest.approx(z_loss, rel=1e-5))


def test_balance_loss_reaches_the_gate_through_any_output() -> None:
    mixture = _mixture(balance_weight=0.5, z_weight=0.1)
    x = torch.randn(64, 16)
    (mixture(x) * 0).sum().backward()
    attached = mixture.router.gate.weight.grad.clone()
    mixture.zero_grad()
    logits = x @ mixture.router.gate.weight.T
    load = torch.bincount(logits.argmax(-1), minlength=4)
    (0.5 * balance_loss(logits, load) +
     0.1 * router_z_loss(logits)).backward()
    torch.testing.assert_close(attached, mixture.router.gate.weight.grad)


def test_no_balance_loss_in_evaluation() -> None:
    mixture = _mixture(balance_weight=0.5).eval()
    (mixture(torch.randn(8, 16)) * 0).sum().backward()
    assert mixture.router.gate.weight.grad.abs().sum() == 0


def test_every_expert_gets_a_gradient_even_without_tokens() -> None:
    mixture = _mixture(8)
    mixture(torch.randn(1, 16)).sum().backward()
    assert all(p.grad is not None for p in mixture.parameters())


def test_load_and_assignment_are_kept() -> None:
    mixture = _mixture()
    mixture.record_assignment = True
    mixture(torch.randn(2, 20, 16))
    assert mixture.last_load.sum().item() == pytest.approx(1)
    counted = torch.bincount(mixture.last_assignment, minlength=4) / 40
    torch.testing.assert_close(mixture.last_load, counted)


def test_dense_checkpoint_makes_every_expert_a_copy() -> None:
    dense = FeedForward(16, 64)
    mixture = MixtureOfExperts(16, 64, num_experts=3)
    mixture.load_state_dict(dense.state_dict(), strict=True)
    x = torch.randn(20, 16)
    weight = (x @ mixture.router.gate.weight.T).softmax(-1).amax(-1)
    torch.testing.assert_close(
        mixture.eval()(x), dense(x) * weight[:, None], atol=1e-6, rtol=1e-5)


def test_top_k_beyond_the_experts_is_refused() -> None:
    with pytest.raises(ValueError, match='top_k=5'):
        MixtureOfExperts(16, 64, num_experts=4, top_k=5)


def test_passes_of_a_step_share_the_weight_of_the_balance() -> None:
    mixture = _mixture(balance_weight=0.5, z_weight=0.1)
    parts = torch.randn(3, 64, 16).unbind()
    for part in parts:
        (mixture(part) * 0).sum().backward()
    each = mixture.router.gate.weight.grad.clone()
    mixture.zero_grad()
    share_balance(torch.nn.Sequential(mixture), 3)
    for part in parts:
        (mixture(part) * 0).sum().backward()
    torch.testing.assert_close(mixture.router.gate.weight.grad, each / 3)


def test_choices_of_all_training_passes_are_taken_once() -> None:
    mixture = _mixture()
    mixture.record_assignment = True
    wanted = torch.zeros(4, dtype=torch.int64)
    for count in (20, 30):
        mixture(torch.randn(count, 16))
        wanted += torch.bincount(mixture.last_assignment, minlength=4)
    mixture.eval()(torch.randn(99, 16))
    taken, = take_choices(torch.nn.Sequential(mixture))
    assert taken.tolist() == wanted.tolist()
    assert take_choices(mixture) == []
