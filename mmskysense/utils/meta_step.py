# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A step of pre-training on torch's meta device: shapes, but no numbers.

Every operation runs for its shapes alone, so that the largest model takes
seconds and no memory. What it would cost is added up along the way.
"""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from mmskysense.models.layers.moe import Experts


@dataclass(frozen=True)
class StepCost:
    """What one step takes beside weights and optimiser.

    Args:
        student: Floating-point operations of the student's forward pass.
        teacher: Of the teacher's.
        backward: Of the backward pass, with what checkpoints recompute.
        peak_bytes: Most that was alive at once: activations, temporary
            tensors, and the gradients that there were by then.
        gradient_bytes: All gradients, at the end.
        input_bytes: The batch.
    """

    student: int
    teacher: int
    backward: int
    peak_bytes: int
    gradient_bytes: int
    input_bytes: int

    @property
    def flops(self) -> int:
        """Floating-point operations of the step."""
        return self.student + self.teacher + self.backward


class Recorder(TorchDispatchMode):
    """Counts floating-point operations and the bytes that are alive.

    Operations by the formulas of ``torch.utils.flop_counter``: matrix
    products, convolutions and attention, a multiplication and an addition
    are two. Bytes are those of storages made while recording, from the
    operation that makes them until nothing refers to them any more.

    Args:
        known: Tensors that were there before and do not count.

    Attributes:
        flops: By phase: ``'student'``, ``'teacher'`` (where there is no
            gradient) and ``'backward'``.
        live: Bytes alive now.
        peak: Most bytes alive at once.
        in_backward: Set by who calls ``backward``.
    """

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.flops = dict(student=0, teacher=0, backward=0)
        self.live = self.peak = 0
        self.in_backward = False
        # Storages that exist; the references go with them.
        self._watched: dict[int, Any] = {
            tensor.untyped_storage()._cdata: None for tensor in known
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:
        """Run the operation and write down what it takes."""
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            phase = 'backward' if self.in_backward else \
                'student' if torch.is_grad_enabled() else 'teacher'
            self.flops[phase] += formula(*args, **(kwargs or {}),
                                         out_val=result)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._watch(leaf.untyped_storage())
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._watched:
            return
        size = storage.nbytes()

        def forget(_: Any) -> None:
            self.live -= size
            del self._watched[key]

        self._watched[key] = weakref.ref(storage, forget)
        self.live += size
        self.peak = max(self.peak, self.live)


def _fused_attention(query: Tensor, key: Tensor, value: Tensor,
                     mask: Tensor | None = None,
                     scale: float | None = None) -> Tensor:
    """``scaled_dot_product_attention`` as GPUs compute it.

    By the memory-efficient kernel, which keeps no scores. On the meta device
    torch would write attention out, scores and all.
    """
    if mask is not None:
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=query.dtype)
        mask = mask.expand(*query.shape[:3], key.shape[2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, mask,
        torch.is_grad_enabled() and query.requires_grad, 0.0, False,
        scale=scale)[0]


class _NoAutocast:
    """Stands in for ``torch.autocast``, which has no meta device."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _balanced_experts(self: Experts, x: Tensor, expert: Tensor,
                      load: Tensor) -> Tensor:
    """``Experts.forward`` with the same number of tokens for each expert.

    Who gets which token is a number, which meta tensors have not. Operations
    do not depend on it: every token passes one expert, whichever.
    """
    parts = zip(x.tensor_split(len(self.weight1)), self.weight1.unbind(),
                self.bias1.unbind(), self.weight2.unbind(),
                self.bias2.unbind(), strict=True)
    return torch.cat([
        F.linear(F.gelu(F.linear(part, weight1, bias1)), weight2, bias2)
        for part, weight1, bias1, weight2, bias2 in parts
    ])


@contextmanager
def runs_on_meta() -> Iterator[None]:
    """Have what needs numbers, or a real device, run on the meta device."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(
            Experts, 'forward', _balanced_experts))
        stack.enter_context(mock.patch.object(torch, 'autocast',
                                              _NoAutocast))
        stack.enter_context(mock.patch.object(
            torch, 'is_autocast_enabled', lambda *_: False))
        stack.enter_context(mock.patch.object(
            F, 'scaled_dot_product_attention', _fused_attention))
        yield


def tensors_of(inputs: Mapping[str, Any]) -> list[Tensor]:
    """All tensors of global and local views."""
    found = []
    for views in inputs.values():
        for value in vars(views).values():
            found += [t for t in tree_leaves(value) if isinstance(t, Tensor)]
    return found


def measure_step(model: nn.Module, inputs: Mapping[str, Any]) -> StepCost:
    """Forward passes of student and teacher, and the backward pass.

    Args:
        model: A pre-trainer on the meta device.
        inputs: dict(global=ViewBatch, local=ViewBatch) on it.

    Returns:
        What the step costs in the precision of the model's parameters.
    """
    batch = tensors_of(inputs)
    known = [*model.parameters(), *model.buffers(), *batch]
    for module in model.modules():
        # Warns of small batches; this process stands for many.
        if hasattr(module, '_samples'):
            module._samples._warned = True
    model.train()
    with runs_on_meta(), Recorder(known) as record:
        losses = model(inputs, mode='loss')
        total = torch.stack(list(losses.values())).sum()
        del losses
        record.in_backward = True
        total.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    cost = StepCost(
        **record.flops, peak_bytes=record.peak,
        gradient_bytes=sum(g.numel() * g.element_size() for g in gradients),
        input_bytes=sum(t.untyped_storage().nbytes() for t in batch))
    model.zero_grad()
    return cost
