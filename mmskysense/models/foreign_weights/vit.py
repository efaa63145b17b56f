# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Vision transformers of timm and mmpretrain; SkySense V1's S2 and S1 ViTs.

Their blocks are those of stages 3-4: pre-norm, qkv in one matrix. A ViT has
one width, so its blocks go to the stage that is as wide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ..backbones.architectures import Architecture
from .report import Proposal

_BLOCK = re.compile(r'(?:blocks|layers)\.(\d+)\.(.+)')
# timm, mmpretrain, and mmcv's attention in SkySense V1.
_NAMES = {
    'ln1': 'norm1', 'ln2': 'norm2', 'norm1': 'norm1', 'norm2': 'norm2',
    'attn.qkv': 'attn.qkv', 'attn.proj': 'attn.proj',
    'attn.attn.out_proj': 'attn.proj', 'mlp.fc1': 'mlp.fc1',
    'mlp.fc2': 'mlp.fc2', 'ffn.layers.0.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.fc2',
}
_WHOLE = {
    'attn.attn.in_proj_weight': 'attn.qkv.weight',
    'attn.attn.in_proj_bias': 'attn.qkv.bias', 'ls1.gamma': 'scale1.weight',
    'ls2.gamma': 'scale2.weight', 'gamma_1': 'scale1.weight',
    'gamma_2': 'scale2.weight', 'attn.gamma1.weight': 'scale1.weight',
    'ffn.gamma2.weight': 'scale2.weight',
}
_OTHERS = {
    'pos_embed': 'position table; the encoder needs none',
    'cls_token': 'class token; the encoder has none',
    'reg_token': 'register tokens; the encoder has none',
    'dist_token': 'distillation token; the encoder has none',
    'patch_embed': 'patches of another size and width',
}


def propose_vit(state: Mapping[str, Tensor], arch: Architecture,
                scaled: bool) -> Iterator[Proposal]:
    """Say for each tensor of a ViT where it goes in the encoder.

    Stage 3 takes the first blocks, stage 4 the last ones, each as many as it
    has.

    Args:
        state: The other network's state dict, without prefix.
        arch: The encoder's.
        scaled: Whether the encoder has LayerScale. Where the ViT has none,
            the encoder's becomes 1, which computes the same.

    Yields:
        A proposal for every key, and for LayerScale that is absent there.
    """
    blocks = sorted({int(m[1]) for k in state if (m := _BLOCK.fullmatch(k))})
    width = _width(state)
    stage = next((i for i in (2, 3) if arch.widths[i] == width), None)
    taken: dict[int, int] = {}
    if stage is not None:
        depth = arch.depths[stage]
        chosen = blocks[:depth] if stage == 2 else blocks[-depth:]
        taken = {block: index for index, block in enumerate(chosen)}
    names: dict[int, set[str]] = {block: set() for block in blocks}
    for key, value in state.items():
        match = _BLOCK.fullmatch(key)
        if not match:
            note = next((text for start, text in _OTHERS.items()
                         if key.startswith(start)),
                        'no counterpart in the encoder')
            yield Proposal((key, ), note=note)
            continue
        block, name = int(match[1]), _our_name(match[2])
        if stage is None:
            yield Proposal(
                (key, ), note=f'width {width}; stages 3 and 4 have '
                f'{arch.widths[2]} and {arch.widths[3]}')
        elif block not in taken:
            yield Proposal((key, ), note=f'stage {stage + 1} has '
                           f'{arch.depths[stage]} blocks only')
        elif name is None:
            yield Proposal((key, ), note='no counterpart in our blocks')
        elif name.startswith('scale') and not scaled:
            yield Proposal((key, ), note='the encoder has no LayerScale; '
                           'set layer_scale above 0')
        else:
            names[block].add(name)
            yield Proposal(
                (key, ), f'stages.{stage}.blocks.{taken[block]}.{name}',
                value)
    for block, index in taken.items():
        yield from _implied(f'stages.{stage}.blocks.{index}.', names[block],
                            width or 0, scaled)


def _implied(prefix: str, names: set[str], width: int,
             scaled: bool) -> Iterator[Proposal]:
    """What a block does without: scales are 1, a bias is 0."""
    for name in ('scale1.weight', 'scale2.weight') if scaled else ():
        if name not in names:
            yield Proposal((), prefix + name, torch.ones(width),
                           'no LayerScale there: 1')
    if 'attn.qkv.weight' in names and 'attn.qkv.bias' not in names:
        yield Proposal((), prefix + 'attn.qkv.bias', torch.zeros(3 * width),
                       'no qkv bias there: 0')


def _our_name(name: str) -> str | None:
    """Our name of a block's tensor, ``None`` if it has none."""
    if name in _WHOLE:
        return _WHOLE[name]
    module, _, kind = name.rpartition('.')
    return f'{_NAMES[module]}.{kind}' if module in _NAMES else None


def _width(state: Mapping[str, Tensor]) -> int | None:
    for key, value in state.items():
        match = _BLOCK.fullmatch(key)
        if match and _our_name(match[2]) == 'norm1.weight':
            return len(value)
    return None
