# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From another network's weights to a state dict of the encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mmskysense.sensors import get_sensor

from ..backbones import SkySenseV2
from .layouts import find_layout
from .report import Entry, Proposal, WeightsReport
from .swin import propose_swin
from .vit import propose_vit

_HEADS = ('the weights of a ViT do not say how many heads it has: its blocks '
          "compute the same here only with the same head_dims (often 64; the "
          "encoder's default is 32) and position='none'")


def convert_weights(content: Mapping[str, Any],
                    encoder: SkySenseV2,
                    sensor: str | None = None,
                    layout: str | None = None,
                    prefix: str | None = None,
                    global_stages: bool | None = None
                    ) -> tuple[dict[str, Tensor], WeightsReport]:
    """Start an encoder from another network where shapes fit.

    Args:
        content: What the checkpoint's file holds.
        encoder: A dense encoder, its weights initialised; not changed.
        sensor: Whose tokenizer takes a patch embedding; the encoder's
            ``sensor`` by default.
        layout: See :func:`find_layout`.
        prefix: Likewise.
        global_stages: Also start stages 3-4 from a Swin's, as far as shapes
            fit, see :func:`propose_swin`; by default only from SkySense V1.

    Returns:
        The encoder's complete state dict, its own start where nothing fits,
        and the report.

    Raises:
        CheckpointError: No known layout.
        ValueError: The encoder has experts or lacks the sensor, or not one
            tensor fits.
    """
    sensor = sensor or encoder.sensor
    if sensor not in encoder.sensors:
        raise ValueError(f"sensor='{sensor}': the encoder has "
                         f'{encoder.sensors}; add it there')
    own = {k: v.clone() for k, v in encoder.state_dict().items()}
    if any('.experts.' in key for key in own):
        raise ValueError('the encoder has mixtures of experts; convert for '
                         'moe=None: dense weights load into experts later')
    name, state, outside = find_layout(content, layout, prefix)
    entries: list[Entry] = []
    taken: set[str] = set()
    if global_stages is None:
        global_stages = name == 'skysense-v1-hr'
    for proposal in _propose(name, state, encoder, sensor, global_stages):
        reason = _refusal(proposal, own)
        if reason or proposal.target is None or proposal.value is None:
            entries.append(Entry('skipped', proposal.sources, proposal.target,
                                 reason or proposal.note))
            continue
        own[proposal.target] = proposal.value.detach().clone().to(
            own[proposal.target].dtype)
        taken.add(proposal.target)
        entries.append(Entry('adapted' if proposal.note else 'loaded',
                             proposal.sources, proposal.target,
                             proposal.note))
    entries += [Entry('skipped', (key, ), None, 'outside the network')
                for key in outside]
    report = WeightsReport(
        name, tuple(entries), tuple(key for key in own if key not in taken),
        sum(own[key].numel() for key in taken),
        sum(value.numel() for value in own.values()),
        (_HEADS, ) if name.endswith('vit') else ())
    if not any(entry.sources and entry.status != 'skipped'
               for entry in entries):
        reasons = sorted({e.reason for e in entries if e.reason})
        raise ValueError(
            f'nothing of the checkpoint (layout {name}) fits the encoder: '
            f"{'; '.join(reasons[:4])}; choose another arch")
    return own, report


def _propose(layout: str, state: Mapping[str, Tensor], encoder: SkySenseV2,
             sensor: str, global_stages: bool) -> Iterator[Proposal]:
    if layout.endswith('vit'):
        scaled = any('.scale1.' in key for key in encoder.state_dict())
        return propose_vit(state, encoder.arch, scaled)
    proposals = propose_swin(state, encoder.arch, sensor,
                             mm=layout != 'timm-swinv2',
                             global_stages=global_stages)
    return (_checked_bands(proposal, sensor) for proposal in proposals)


def _checked_bands(proposal: Proposal, sensor: str) -> Proposal:
    """Patch embeddings have as many bands as the sensor, or go nowhere."""
    value = proposal.value
    if value is None or value.dim() != 4:
        return proposal
    bands = get_sensor(sensor).num_bands
    if value.shape[1] == bands:
        return proposal
    return Proposal(proposal.sources, note=f'{value.shape[1]} bands, '
                    f"'{sensor}' has {bands}")


def _refusal(proposal: Proposal, own: Mapping[str, Tensor]) -> str:
    """Why a tensor does not fit; empty if it does, or is left out anyway."""
    if proposal.target is None or proposal.value is None:
        return ''
    if proposal.target not in own:
        return 'the encoder has no such part'
    there, here = proposal.value.shape, own[proposal.target].shape
    if there != here:
        return f'shape {tuple(there)}, expected {tuple(here)}'
    if not torch.isfinite(proposal.value).all():
        return 'holds NaN or infinity'
    return ''
