# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Mixture of experts in place of a block's feed-forward network.

Router, experts and dispatch are separate: the router decides, the experts
compute on tokens sorted by expert, the mixture puts them back. Only chosen
experts compute, and no token is dropped.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .feed_forward import FeedForward


class Router(nn.Module):
    """Linear gate without bias, softmax over all experts, top-k.

    The chosen softmax value is never renormalised: at k = 1 it would be 1
    and the gate would get no gradient (spec section 1).

    Args:
        embed_dims: Width of a token.
        num_experts: Experts to choose from.
        top_k: Experts per token.
    """

    def __init__(self, embed_dims: int, num_experts: int,
                 top_k: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(embed_dims, num_experts, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Route tokens; in float32 also under autocast.

        Args:
            x: Tokens (L, embed_dims).

        Returns:
            Logits (L, num_experts), weights (L, top_k) in (0, 1] and chosen
            experts (L, top_k), int64.
        """
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(x.float(), self.gate.weight.float())
        weight, expert = logits.softmax(dim=-1).topk(self.top_k, dim=-1)
        return logits, weight, expert


class Experts(nn.Module):
    """Full-size feed-forward networks with stacked weights.

    Args:
        num_experts: Networks.
        embed_dims: Width of the input and the output.
        hidden_dims: Width of the hidden layer.
    """

    def __init__(self, num_experts: int, embed_dims: int,
                 hidden_dims: int) -> None:
        super().__init__()
        self.weight1 = nn.Parameter(
            torch.empty(num_experts, hidden_dims, embed_dims))
        self.bias1 = nn.Parameter(torch.zeros(num_experts, hidden_dims))
        self.weight2 = nn.Parameter(
            torch.empty(num_experts, embed_dims, hidden_dims))
        self.bias2 = nn.Parameter(torch.zeros(num_experts, embed_dims))
        self.init_weights()

    def init_weights(self) -> None:
        """Start all experts from one network (up-cycling, ours)."""
        for weight in (self.weight1, self.weight2):
            if weight.is_meta:
                continue
            nn.init.trunc_normal_(weight[0], std=0.02)
            with torch.no_grad():
                weight[1:] = weight[:1]

    def forward(self, x: Tensor, expert: Tensor, load: Tensor) -> Tensor:
        """Each token through its expert.

        Args:
            x: Tokens sorted by expert (L, embed_dims).
            expert: Expert of each token (L,), ascending.
            load: Tokens of each expert (num_experts,), int64.

        Returns:
            Tokens (L, embed_dims) in the same order.
        """
        if x.is_cuda and torch.is_autocast_enabled('cuda'):
            x = x.to(torch.get_autocast_dtype('cuda'))
        if (x.is_cuda and x.dtype == torch.bfloat16
                and hasattr(F, 'grouped_mm')):  # torch 2.10 and later
            return self._grouped(x, expert, load)
        # The lengths are needed on the host; on a CPU that costs nothing.
        # Unbound once: indexing each expert would make the backward pass
        # allocate a gradient of all experts for each of them.
        experts = zip(
            x.split(load.tolist()), self.weight1.unbind(),
            self.bias1.unbind(), self.weight2.unbind(), self.bias2.unbind(),
            strict=True)
        return torch.cat([
            F.linear(F.gelu(F.linear(part, weight1, bias1)), weight2, bias2)
            for part, weight1, bias1, weight2, bias2 in experts
        ])

    def _grouped(self, x: Tensor, expert: Tensor, load: Tensor) -> Tensor:
        """The same with grouped matrix products: no host synchronisation."""
        ends = load.cumsum(0).to(torch.int32)
        weight1 = self.weight1.to(x.dtype).transpose(1, 2)
        weight2 = self.weight2.to(x.dtype).transpose(1, 2)
        hidden = F.grouped_mm(x, weight1, offs=ends)
        hidden = F.gelu(hidden + self.bias1.to(x.dtype)[expert])
        x = F.grouped_mm(hidden, weight2, offs=ends)
        return x + self.bias2.to(x.dtype)[expert]


class _AttachLoss(torch.autograd.Function):
    """Identity whose backward pass also starts one at a side loss."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor) -> Tensor:
        """Pass ``x`` on and remember the loss' dtype."""
        ctx.loss_dtype = loss.dtype
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor
                 ) -> tuple[Tensor, Tensor]:
        """Gradient of ``x`` unchanged, gradient one for the loss."""
        return gradient, torch.ones(
            (), dtype=ctx.loss_dtype, device=gradient.device)


def balance_loss(logits: Tensor, load: Tensor) -> Tensor:
    """Switch-style load balancing loss, 1 when balanced.

    num_experts * sum_e fraction_e * mean probability_e, Fedus et al.,
    Switch Transformers, arXiv 2101.03961, equation 4 (without its alpha).

    Args:
        logits: Router logits (L, num_experts), float32.
        load: Tokens (or choices) of each expert (num_experts,).

    Returns:
        Scalar.
    """
    fraction = load / load.sum().clamp(min=1)
    return logits.shape[1] * (fraction * logits.softmax(-1).mean(0)).sum()


def router_z_loss(logits: Tensor) -> Tensor:
    """Mean squared log-partition of the router, keeps logits small.

    Zoph et al., ST-MoE, arXiv 2202.08906, equation 5.

    Args:
        logits: Router logits (L, num_experts), float32.

    Returns:
        Scalar.
    """
    return logits.logsumexp(dim=-1).square().mean()


class MixtureOfExperts(nn.Module):
    """Feed-forward experts of which each token uses top-k.

    8 full-size experts, no shared one, top-1 in the paper (spec section 1).
    The balance loss (ours, Switch's form) is attached to the output: it
    reaches the parameters in any host's backward pass without the host
    knowing of it, and is not part of the host's logged loss. Its gradient is
    not scaled along with the host's loss: use bfloat16, not float16 with loss
    scaling, and divide ``balance_weight`` by the steps of gradient
    accumulation. Where a step has several forward passes, of sensors or of
    kinds of views, each is balanced by itself and ``passes`` shares the
    weight among them (ours). A dense checkpoint loads into it: every expert
    becomes a copy of the dense network.

    Args:
        embed_dims: Width of a token.
        hidden_dims: Width of an expert's hidden layer.
        num_experts: Experts.
        top_k: Experts per token.
        balance_weight: Weight of :func:`balance_loss`; 0 switches it off.
        z_weight: Weight of :func:`router_z_loss`; 0 switches it off.

    Attributes:
        passes: Forward passes of a step, see :func:`share_balance`.
        last_load: Share of the choices of each expert in the last forward
            pass (num_experts,), or ``None`` before the first.
        choices: Choices of each expert in all training passes since
            :func:`take_choices` (num_experts,), or ``None``.
        record_assignment: Whether to keep ``last_assignment``.
        last_assignment: First choice of each token (L,), int64.
    """

    def __init__(self, embed_dims: int, hidden_dims: int,
                 num_experts: int = 8, top_k: int = 1,
                 balance_weight: float = 0.01,
                 z_weight: float = 0.0) -> None:
        super().__init__()
        if not 1 <= top_k <= num_experts:
            raise ValueError(
                f'top_k={top_k}: expected 1 to num_experts={num_experts}')
        self.num_experts = num_experts
        self.balance_weight = balance_weight
        self.z_weight = z_weight
        self.router = Router(embed_dims, num_experts, top_k)
        self.experts = Experts(num_experts, embed_dims, hidden_dims)
        self.passes = 1
        self.last_load: Tensor | None = None
        self.choices: Tensor | None = None
        self.last_assignment: Tensor | None = None
        self.record_assignment = False

    def forward(self, x: Tensor) -> Tensor:
        """Route, sort by expert, compute, put back, weight.

        Args:
            x: Tokens (..., embed_dims).

        Returns:
            Tokens of the same shape.
        """
        shape = x.shape
        x = x.flatten(0, -2)
        logits, weight, expert = self.router(x)
        top_k = self.router.top_k
        chosen = expert.flatten()
        chosen_sorted, order = chosen.sort(stable=True)
        # Not bincount: it asks the host for the largest value.
        load = torch.zeros(
            self.num_experts, dtype=torch.int64, device=x.device)
        load.scatter_add_(0, chosen, torch.ones_like(chosen))
        token = order if top_k == 1 else order // top_k
        y = self.experts(x[token], chosen_sorted, load)
        # Back to (L, top_k, embed_dims) by the inverse permutation.
        y = y[order.argsort()].unflatten(0, (-1, top_k))
        output = (y * weight[..., None].to(y.dtype)).sum(1)
        self.last_load = (load / max(chosen.numel(), 1)).detach()
        if self.record_assignment:
            self.last_assignment = expert[:, 0].detach()
        if self.training and torch.is_grad_enabled() and len(x):
            self.choices = load.clone() if self.choices is None \
                else self.choices + load
            output = self._attach_losses(output, logits, load)
        return output.view(shape)

    def _attach_losses(self, output: Tensor, logits: Tensor,
                       load: Tensor) -> Tensor:
        loss = logits.new_zeros(())
        if self.balance_weight:
            loss = loss + self.balance_weight * balance_loss(logits, load)
        if self.z_weight:
            loss = loss + self.z_weight * router_z_loss(logits)
        loss = loss / self.passes
        return _AttachLoss.apply(output, loss) if loss.requires_grad \
            else output

    @torch.no_grad()
    def upcycle(self, dense: FeedForward) -> None:
        """Make every expert a copy of a dense network."""
        for target, source in (
                (self.experts.weight1, dense.fc1.weight),
                (self.experts.bias1, dense.fc1.bias),
                (self.experts.weight2, dense.fc2.weight),
                (self.experts.bias2, dense.fc2.bias)):
            target.copy_(source.expand_as(target))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor],
                              prefix: str, *args: Any,
                              **kwargs: Any) -> None:
        """Accept a dense network's entries: copy them to every expert.

        The gate, which a dense checkpoint cannot have, keeps its start.
        """
        names = {'experts.weight1': 'fc1.weight', 'experts.bias1': 'fc1.bias',
                 'experts.weight2': 'fc2.weight', 'experts.bias2': 'fc2.bias'}
        if all(prefix + dense in state_dict for dense in names.values()):
            for own, dense in names.items():
                value = state_dict.pop(prefix + dense)
                state_dict[prefix + own] = value.expand(
                    self.num_experts, *value.shape)
            state_dict.setdefault(prefix + 'router.gate.weight',
                                  self.router.gate.weight.detach().clone())
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def share_balance(module: nn.Module, passes: int) -> None:
    """Let the balance losses of all mixtures act once a step.

    Args:
        module: Holds any number of :class:`MixtureOfExperts`.
        passes: Forward passes of a step, at least 1.
    """
    for part in module.modules():
        if isinstance(part, MixtureOfExperts):
            part.passes = passes


def take_choices(module: nn.Module) -> list[Tensor]:
    """Choices (num_experts,) of each mixture since the last call."""
    taken = []
    for part in module.modules():
        if isinstance(part, MixtureOfExperts) and part.choices is not None:
            taken.append(part.choices)
            part.choices = None
    return taken
