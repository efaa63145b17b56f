# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Swin Transformer V2 of timm and of mmpretrain; SkySense V1's HR encoder.

timm's blocks have our names and are computed alike. mmpretrain's differ in
names and in the order in which a transition concatenates neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ..backbones.architectures import Architecture
from .report import Proposal

_BLOCK = re.compile(r'(?:layers|stages)\.(\d+)\.blocks\.(\d+)\.(.+)')
_DOWNSAMPLE = re.compile(r'(?:layers|stages)\.(\d+)\.downsample\.(.+)')
_PATCH = re.compile(r'patch_embed\.(?:proj|projection)\.(weight|bias)')
_MM_NAMES = (('attn.w_msa.', 'attn.'), ('ffn.layers.0.0.', 'mlp.fc1.'),
             ('ffn.layers.1.', 'mlp.fc2.'))
# Recomputed here from the window's size.
_BUFFERS = ('relative_coords_table', 'relative_position_index', 'attn_mask',
            'k_bias')
_WINDOW_STAGES = 2


def propose_swin(state: Mapping[str, Tensor], arch: Architecture,
                 sensor: str, mm: bool, global_stages: bool
                 ) -> Iterator[Proposal]:
    """Say for each tensor of a Swin V2 where it goes in the encoder.

    Args:
        state: The other network's state dict, without prefix.
        arch: The encoder's.
        sensor: Whose tokenizer takes the patch embedding.
        mm: mmpretrain's names and order of neighbours, else timm's.
        global_stages: Take from stages 3-4 what fits by shape: feed-forward
            networks, qkv and projection. Attention is computed otherwise
            there, so this is a start and no equivalence.

    Yields:
        A proposal for every key.
    """
    # Microsoft's own files keep a transition with the stage before it.
    early = any(key.startswith('layers.0.downsample.') for key in state)
    for key, value in state.items():
        block, down = _BLOCK.fullmatch(key), _DOWNSAMPLE.fullmatch(key)
        patch = _PATCH.fullmatch(key)
        if key.rsplit('.', 1)[-1] in _BUFFERS:
            yield Proposal((key, ), note='computed, not learned')
        elif patch:
            yield Proposal(
                (key, ), f'tokenizers.{sensor}.projection.{patch[1]}', value)
        elif key.startswith('patch_embed.norm.'):
            yield Proposal((key, ), f'tokenizers.{sensor}.'
                           + key.removeprefix('patch_embed.'), value)
        elif down:
            index = int(down[1]) - (0 if early else 1)
            yield _transition(key, index, down[2], value, mm)
        elif block:
            name = block[3]
            for theirs, ours in _MM_NAMES if mm else ():
                if name.startswith(theirs):
                    name = ours + name.removeprefix(theirs)
            yield from _block(state, key, value, int(block[1]), block[2],
                              name, arch, global_stages)
        else:
            yield Proposal((key, ), note='no counterpart in the encoder')


def _transition(key: str, index: int, name: str, value: Tensor,
                mm: bool) -> Proposal:
    target = f'mergings.{index}.{name}'
    if name != 'reduction.weight' or not mm or value.shape[1] % 4:
        return Proposal((key, ), target, value)
    # Unfold: (channel, row, column); ours and timm's: (column, row, channel).
    value = value.unflatten(1, (-1, 2, 2)).permute(0, 3, 2, 1).flatten(1)
    return Proposal((key, ), target, value,
                    'neighbours in another order, reordered')


def _block(state: Mapping[str, Tensor], key: str, value: Tensor, stage: int,
           block: str, name: str, arch: Architecture,
           global_stages: bool) -> Iterator[Proposal]:
    """A tensor of a block; ``name`` is ours."""
    target = f'stages.{stage}.blocks.{block}.{name}'
    heads = arch.widths[min(stage, 3)] // arch.head_dims
    if stage < _WINDOW_STAGES:
        note = ''
        scale = state.get(key.rsplit('attn.', 1)[0] + _scale_name(key))
        if (name.startswith(('attn.qkv', 'attn.proj', 'attn.q_', 'attn.v_'))
                and scale is not None and len(scale) != heads):
            note = f'{len(scale)} heads there, {heads} here'
        yield Proposal((key, ), target, value, note)
    elif not global_stages:
        yield Proposal((key, ), note='window attention; stages 3-4 are global')
    elif name.startswith('norm'):
        yield Proposal((key, ), note='norm behind the branch there, in front '
                       'of it here')
    elif name == 'attn.v_bias':
        return  # goes with q_bias
    elif name == 'attn.q_bias':
        other = key.removesuffix('q_bias') + 'v_bias'
        yield Proposal(
            (key, other), target.removesuffix('q_bias') + 'qkv.bias',
            torch.cat((value, torch.zeros_like(value), state[other])),
            'cosine attention in windows there; joined with v_bias, keys 0')
    elif name.startswith('attn.') and name not in (
            'attn.qkv.weight', 'attn.proj.weight', 'attn.proj.bias'):
        yield Proposal((key, ), note='part of cosine attention')
    else:
        attention = name.startswith('attn.')
        yield Proposal(
            (key, ), target, value, 'cosine attention in windows there'
            if attention else 'behind another attention than there')


def _scale_name(key: str) -> str:
    """Rest of the key of a block's attention temperature."""
    return ('attn.w_msa.logit_scale' if 'attn.w_msa.' in key
            else 'attn.logit_scale')
