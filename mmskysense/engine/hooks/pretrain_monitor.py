# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What to watch in self-distillation: collapse, and losses that blow up."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmskysense.models.layers import take_choices

# Limits are ours. A healthy run stays far from all of them.
_MIN_USAGE = 0.02
_MAX_UNIFORM = 0.995
_MIN_SPREAD = 0.01
_MAX_OVERLAP = 0.9999


def find_collapse(statistics: Mapping[str, Tensor]) -> dict[str, str]:
    """Name what has collapsed and what to do.

    Args:
        statistics: Of :class:`SkySenseV2Pretrainer`; keys that are missing
            are not judged.

    Returns:
        Kind of collapse -> advice; empty when healthy.
    """
    found = {}

    def value(key: str, reduce: str) -> float | None:
        if key not in statistics:
            return None
        return float(getattr(statistics[key].float(), reduce)())

    usage = value('usage_entropy', 'mean')
    if usage is not None and usage < _MIN_USAGE:
        found['one prototype'] = (
            f'the teacher gives all tiles the same prototype (usage entropy '
            f'{usage:.3f} of 1): raise the teacher temperature or lower the '
            'learning rate')
    uniform = value('assignment_entropy', 'mean')
    if uniform is not None and uniform > _MAX_UNIFORM:
        found['uniform targets'] = (
            f'the teacher\'s targets are uniform (entropy {uniform:.4f} of '
            '1), there is nothing to learn from: lower the teacher '
            'temperature, raise the batch size or set batch_norm of the '
            'heads')
    spread = value('feature_spread', 'mean')
    if spread is not None and spread < _MIN_SPREAD:
        found['equal features'] = (
            f'fused features of all tiles are equal (spread {spread:.4f}, '
            'healthy near 1): raise the KoLeo weight or lower the learning '
            'rate')
    overlap = value('attention_overlap', 'mean')
    if overlap is not None and overlap > _MAX_OVERLAP:
        found['equal queries'] = (
            f'all queries look at the same places (overlap {overlap:.5f}): '
            'use fewer queries or larger views, whose maps have more places')
    return found


def expert_load(model: nn.Module) -> dict[str, Tensor]:
    """Share of the busiest and of the idlest expert over all mixtures.

    Args:
        model: Any module; of the student, all passes since the last call
            count, of all sensors and views.

    Returns:
        ``moe_max_load`` and ``moe_min_load``, or nothing without mixtures.
    """
    choices = take_choices(model)
    if not choices:
        return {}
    stacked = torch.stack([
        chosen / chosen.sum().clamp(min=1) for chosen in choices])
    return dict(moe_max_load=stacked.max(), moe_min_load=stacked.min())


class FiniteLossWatch:
    """Remembers which batch first had a loss that is not finite.

    Flags stay on the device; only :meth:`check` waits for it.
    """

    def __init__(self) -> None:
        self._flags: list[Tensor] = []
        self._tiles: list[list[str]] = []
        self._iterations: list[int] = []

    def add(self, loss: Any, data_batch: Any, iteration: int) -> None:
        """Note one iteration's loss and its tiles."""
        if not isinstance(loss, Tensor):
            loss = torch.tensor(float(loss))
        self._flags.append(~torch.isfinite(loss.detach()).all())
        self._tiles.append(tile_names(data_batch))
        self._iterations.append(iteration)

    def check(self) -> None:
        """Look at what was noted since the last call.

        Raises:
            FloatingPointError: A loss was not finite.
        """
        if not self._flags:
            return
        flags = torch.stack(self._flags).tolist()
        tiles, iterations = self._tiles, self._iterations
        self.__init__()  # type: ignore[misc]
        if any(flags):
            first = flags.index(True)
            raise not_finite('loss', iterations[first], tiles[first])


def not_finite(what: str, iteration: int,
               tiles: Sequence[str]) -> FloatingPointError:
    """The error that names a batch, for the caller to raise.

    Args:
        what: ``'loss'`` or ``'gradient'``.
        iteration: From 1 on.
        tiles: Names, see :func:`tile_names`.
    """
    return FloatingPointError(
        f'the {what} of iteration {iteration} is not finite; tiles of this '
        f"process' batch: {', '.join(tiles) or 'unknown'}. Look at their "
        'values (nodata, unit), or lower the learning rate, then resume from '
        'the last checkpoint, which is from before it')


def tile_names(data_batch: Any) -> list[str]:
    """Names of the tiles of a batch, empty where it has none."""
    samples: Sequence[Any] = ()
    if isinstance(data_batch, Mapping):
        samples = data_batch.get('data_samples') or ()
    return [str(sample.get('tile_id', '?')) for sample in samples]
