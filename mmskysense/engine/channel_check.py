# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Do heads expect the channels that the encoder gives?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from mmskysense.utils.command_line import UsageError


def check_channels(model: nn.Module) -> None:
    """Refuse a neck or head whose ``in_channels`` are another backbone's.

    The most frequent mistake of a drop-in; torch tells it at the first
    iteration, by the shapes of a convolution.

    Args:
        model: Detector, segmentor or classifier. Backbones that do not say
            their ``out_channels`` are not looked at.

    Raises:
        UsageError: Names the key of the config, what it is and what it has
            to be.
    """
    given = getattr(getattr(model, 'backbone', None), 'out_channels', None)
    if not isinstance(given, tuple):
        return
    for name, part, wanted in _consumers(model, given):
        found = part.in_channels
        same = list(found) == list(wanted) if isinstance(
            found, Sequence) and isinstance(wanted, Sequence) else \
            found == wanted
        if not same:
            raise UsageError(
                f'model.{name}.in_channels={found}: expected {wanted}, the '
                f'channels of the {type(model.backbone).__name__} before it; '
                'set it in the config')


def _consumers(model: nn.Module, given: tuple[int, ...]
               ) -> Iterator[tuple[str, Any, Any]]:
    """Parts that take the backbone's levels, and what they should expect."""
    neck = getattr(model, 'neck', None)
    if neck is not None:
        # Pyramids take all levels; what necks give is their own affair.
        if isinstance(getattr(neck, 'in_channels', None), (list, tuple)):
            yield 'neck', neck, list(given)
        return
    for name in ('decode_head', 'auxiliary_head'):
        heads = getattr(model, name, None)
        several = isinstance(heads, nn.ModuleList)
        found: list[Any] = list(heads) if several else [heads]  # type: ignore
        for number, head in enumerate(found):
            index = getattr(head, 'in_index', None)
            if index is None or not hasattr(head, 'in_channels'):
                continue
            transform = getattr(head, 'input_transform', None)
            if transform == 'resize_concat':  # mmseg keeps the sum
                wanted: Any = sum(given[i] for i in index)
            elif isinstance(index, int):
                wanted = given[index]
            else:
                wanted = [given[i] for i in index]
            yield f'{name}[{number}]' if several else name, head, wanted
