# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What became of every tensor of both sides."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Proposal:
    """A tensor of another network and where it might go.

    Args:
        sources: Its keys there; empty for a value that follows from the
            source without being stored, such as an absent LayerScale.
        target: Key in the encoder, ``None`` for nowhere.
        value: In the encoder's layout.
        note: How it was changed or differs in meaning, or why it goes
            nowhere; empty where it is taken as it is.
    """

    sources: tuple[str, ...]
    target: str | None = None
    value: Tensor | None = None
    note: str = ''


@dataclass(frozen=True)
class Entry:
    """The fate of one proposal: ``loaded``, ``adapted`` or ``skipped``."""

    status: str
    sources: tuple[str, ...]
    target: str | None
    reason: str


@dataclass(frozen=True)
class WeightsReport:
    """Both sides of a conversion; no key is left out.

    Args:
        layout: Of the source, see :data:`LAYOUTS`.
        entries: Every key of the source, and what it became.
        random: Parameters of the encoder that start at random.
        loaded_parameters: Numbers of the encoder that came from the source.
        total_parameters: Numbers of the encoder.
        notes: What the weights cannot tell.
    """

    layout: str
    entries: tuple[Entry, ...]
    random: tuple[str, ...]
    loaded_parameters: int
    total_parameters: int
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of the encoder's numbers that came from the source."""
        return self.loaded_parameters / max(self.total_parameters, 1)

    def of(self, status: str) -> tuple[Entry, ...]:
        """Entries of one status."""
        return tuple(e for e in self.entries if e.status == status)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for the ``meta`` of a checkpoint."""
        return dict(asdict(self), share=self.share)

    def __str__(self) -> str:
        lines = [f'layout {self.layout}: {self.share:.1%} of the encoder '
                 f'({self.loaded_parameters:,} of {self.total_parameters:,} '
                 'numbers)']
        for status in ('loaded', 'adapted', 'skipped'):
            entries = self.of(status)
            lines.append(f'{status}: {len(entries)}')
            reasons = Counter(e.reason for e in entries if e.reason)
            for reason, count in reasons.most_common():
                example = next(e for e in entries if e.reason == reason)
                key = (example.sources or (example.target, ))[0]
                lines.append(f'  {count:4d}  {reason} (such as {key})')
        lines.append(f'left at random: {len(self.random)}')
        groups = Counter(re.sub(r'\.blocks\.\d+\.', '.blocks.*.', key)
                         for key in self.random)
        lines += [f'  {count:4d}  {key}' for key, count in groups.items()]
        lines += [f'note: {note}' for note in self.notes]
        return '\n'.join(lines)
