# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Recognising whose weights a file holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmskysense.utils.checkpoint import CheckpointError

#: Layout -> what it is and a key that tells it, without prefix.
LAYOUTS: dict[str, tuple[str, str]] = {
    'timm-swinv2': ('SwinTransformerV2 of timm, and Microsoft\'s own files',
                    r'layers\.0\.blocks\.0\.attn\.logit_scale'),
    'mmpretrain-swinv2': ('SwinTransformerV2 of mmpretrain',
                          r'stages\.0\.blocks\.0\.attn\.w_msa\.logit_scale'),
    'skysense-v1-hr': ('Swin V2 Huge of SkySense, high-resolution RGB',
                       r'stages\.0\.blocks\.0\.attn\.w_msa\.logit_scale'),
    'timm-vit': ('VisionTransformer of timm', r'blocks\.0\.attn\.qkv\.weight'),
    'mmpretrain-vit': ('VisionTransformer of mmpretrain',
                       r'layers\.0\.attn\.qkv\.weight'),
    'skysense-v1-vit': ('ViT-L of SkySense, Sentinel-2 or Sentinel-1',
                        r'layers\.0\.attn\.attn\.in_proj_weight'),
}
# mmpretrain's Swin V2 and SkySense V1's share all keys; only the latter is
# this wide (spec section 5).
_V1_WIDTH = 352
# Keys of windowed networks whose blocks would pass for a ViT's.
_WINDOWED = re.compile(r'(.*\.)?(relative_position_bias_table|logit_scale|'
                       r'attn\.meta_mlp\..*|downsample\..*)')
_CONTAINERS = ('state_dict', 'model', 'module')


def find_layout(content: Mapping[str, Any], layout: str | None = None,
                prefix: str | None = None
                ) -> tuple[str, dict[str, Tensor], tuple[str, ...]]:
    """Tell whose weights a checkpoint holds, and take them out.

    Args:
        content: Of :func:`read_checkpoint`.
        layout: Key of :data:`LAYOUTS`; told by the keys if ``None``.
        prefix: What stands before the network's keys, such as
            ``'backbone.'``; found if ``None``.

    Returns:
        Layout, state dict without the prefix, and the keys outside it.

    Raises:
        CheckpointError: No layout fits, or the prefix is not certain.
        ValueError: No such layout.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout='{layout}': expected one of "
                         f"{', '.join(LAYOUTS)}")
    for container in _CONTAINERS:
        if isinstance(content.get(container), Mapping):
            content = content[container]
            break
    state = {k: v for k, v in content.items() if isinstance(v, Tensor)}
    candidates = [layout] if layout else list(LAYOUTS)
    for name in candidates:
        sign = re.compile(rf'(.*?)({LAYOUTS[name][1]})')
        prefixes = sorted({m[1] for k in state if (m := sign.fullmatch(k))
                           and (not m[1] or m[1].endswith('.'))})
        if prefix is not None:
            prefixes = [p for p in prefixes if p == prefix]
        if name in ('timm-vit', 'mmpretrain-vit') and prefixes:
            _check_not_windowed(state, name)
        if len(prefixes) > 1:
            raise CheckpointError(
                f'the checkpoint holds {len(prefixes)} networks of layout '
                f'{name}, with the prefixes {prefixes}; name one of them')
        if prefixes:
            inner = {k.removeprefix(prefixes[0]): v for k, v in state.items()
                     if k.startswith(prefixes[0])}
            outer = tuple(k for k in state if not k.startswith(prefixes[0]))
            return _exact(name, inner, layout), inner, outer
    looks = [name for name in LAYOUTS if name not in candidates and any(
        re.fullmatch(rf'(.*\.)?({LAYOUTS[name][1]})', key) for key in state)]
    raise CheckpointError(
        f"the checkpoint has the layout of none of {', '.join(candidates)}"
        f"{'' if prefix is None else f' behind {prefix!r}'}; " + (
            f'it looks like {looks[0]}' if looks else
            f'its keys begin with {list(state)[:3]}'))


def _check_not_windowed(state: Mapping[str, Tensor], name: str) -> None:
    """Refuse Swin V1 and its relatives, whose blocks have a ViT's keys."""
    sign = next((key for key in state if _WINDOWED.fullmatch(key)), None)
    if sign is not None:
        raise CheckpointError(
            f"its blocks have the keys of {name}, but '{sign}' says that it "
            'is a network with windows (Swin V1, SwinV2-CR), which is not '
            'supported; give a Swin V2 or a plain ViT')


def _exact(name: str, state: Mapping[str, Tensor],
           given: str | None) -> str:
    patches = state.get('patch_embed.projection.weight')
    if (given is None and name == 'mmpretrain-swinv2' and patches is not None
            and len(patches) == _V1_WIDTH):
        return 'skysense-v1-hr'
    return name
