# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Checkpoints with low-rank adapters: complete them, merge them.

Needs no ``peft``: where adapters were trained and where they are used are
often two machines.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from .checkpoint import CheckpointError, name_a_few, read_checkpoint
from .encoder_checkpoint import encoder_state

#: Key of the sum over the weights that a file of adapters leaves out.
CHECKSUM = 'base_checksum'
_DOWN, _UP, _BASE = ('.lora_A.default.weight', '.lora_B.default.weight',
                     '.base_layer.')


def forget_start(model: Any) -> None:
    """Forget the encoder that a model starts from, unless it is needed.

    A trained checkpoint holds every weight; only files of adapters take the
    rest from ``init_cfg``.

    Args:
        model: Config of a model, changed in place.
    """
    model.pop('pretrained', None)
    backbone = model.get('backbone') or {}
    if 'init_cfg' in backbone and \
            (backbone.get('lora') or {}).get('save') != 'adapters':
        backbone['init_cfg'] = None


def checksum(tensors: Mapping[str, Tensor]) -> Tensor:
    """Sum of absolute values of float tensors, float64, shape ()."""
    total = torch.zeros((), dtype=torch.float64)
    for name in sorted(tensors):
        total += tensors[name].detach().double().abs().sum().cpu()
    return total


def require_same_base(path: str | None, names: Mapping[str, str],
                      expected: Tensor) -> dict[str, Tensor]:
    """Read the weights that a file of adapters leaves out.

    Args:
        path: Checkpoint of the plain encoder, None if nobody named it.
        names: Name in the adapted encoder -> name in the plain one.
        expected: What :func:`checksum` gave when the adapters were saved.

    Returns:
        Name in the adapted encoder -> weight.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: No file is named, it lacks weights, or its sum is
            another.
    """
    if not path:
        raise CheckpointError(
            'the checkpoint holds adapters only (lora.save=\'adapters\'), '
            'and no file has the rest; name the encoder they were trained '
            'on: model.backbone.init_cfg.checkpoint=FILE')
    state = encoder_state(read_checkpoint(path), path)
    missing = [plain for plain in names.values() if plain not in state]
    found = {name: state[plain] for name, plain in names.items()
             if plain in state}
    if missing or not torch.isclose(
            checksum(found), expected.double().cpu(), rtol=1e-9):
        what = (f'it lacks {len(missing)} weights{name_a_few(missing)}'
                if missing else 'its weights are others')
        raise CheckpointError(
            f'checkpoint {path}: the adapters were trained on another '
            f'encoder, {what}; name that one: '
            'model.backbone.init_cfg.checkpoint=FILE')
    return found


def merge_lora(checkpoint: str | os.PathLike, out: str | os.PathLike,
               base: str | None = None) -> dict[str, Any]:
    """Add the adapters of a trained model to its weights.

    W + alpha / rank * B A for each adapted layer (Hu et al., arXiv
    2106.09685, equation 3); everything else, such as heads, is kept. The
    config inside the file becomes one with a plain ``SkySenseV2``.

    Args:
        checkpoint: What ``tools/train.py`` wrote for a ``LoRASkySenseV2``.
        out: File to write, whole or not at all.
        base: The plain encoder, for a file of adapters; default: the one
            that the config inside the checkpoint names.

    Returns:
        dict(layers=number of adapters merged, config=text).

    Raises:
        FileNotFoundError: A file is missing.
        CheckpointError: No adapters, no config, or not the base.
    """
    path = os.fspath(checkpoint)
    content = read_checkpoint(path)
    state = {key.removeprefix('module.'): value for key, value in content.get(
        'state_dict', content).items()}
    roots = [key.removesuffix(_DOWN) for key in state if key.endswith(_DOWN)]
    if not roots:
        raise CheckpointError(
            f"checkpoint {path}: expected adapters ('*{_DOWN}'), found none; "
            'give a checkpoint of a LoRASkySenseV2')
    config, backbone = _config(content, path)
    lora = backbone.pop('lora', None) or {}
    scale = lora.get('alpha', 16.0) / lora.get('rank', 8)
    prefix = roots[0].partition('stages.')[0]
    expected = state.pop(prefix + CHECKSUM, None)
    if expected is not None:
        known = base or (backbone.get('init_cfg') or {}).get('checkpoint')
        state.update(_left_out(known, state, prefix, roots, expected))
    merged = {}
    for key, value in state.items():
        if key.endswith((_DOWN, _UP)):
            continue
        root, _, last = key.rpartition(_BASE)
        if root and last == 'weight' and root + _DOWN in state:
            update = state[root + _UP].double() @ state[root + _DOWN].double()
            value = (value.double() + scale * update).to(value.dtype)
        merged[key.replace(_BASE, '.')] = value
    backbone['type'] = 'mmskysense.SkySenseV2'
    backbone.pop('init_cfg', None)
    text = config.pretty_text
    _write(dict(state_dict=merged, meta={**content['meta'], 'cfg': text}),
           os.fspath(out))
    return dict(layers=len(roots), config=text)


def _config(content: Mapping[str, Any], path: str) -> tuple[Config, Any]:
    """The run's config and, in it, the backbone's."""
    try:
        config = Config.fromstring(content['meta']['cfg'], '.py')
        backbone = config.model.backbone
        kind = backbone.type
    except Exception:  # a foreign checkpoint may hold anything, or nothing
        kind = 'none'
    if not kind.endswith('LoRASkySenseV2'):
        raise CheckpointError(
            f'checkpoint {path}: expected the config of a model whose '
            f'backbone is LoRASkySenseV2 in meta.cfg, found {kind}; give a '
            'checkpoint that tools/train.py wrote')
    return config, backbone


def _left_out(base: str | None, state: Mapping[str, Tensor], prefix: str,
              roots: list[str], expected: Tensor) -> dict[str, Tensor]:
    """Weights of the base that are not in the file, by their names there."""
    if not base:
        require_same_base(None, {}, expected)
    assert base is not None
    adapted = {root.removeprefix(prefix) for root in roots}
    names = {}
    for plain in encoder_state(read_checkpoint(base), base):
        root, _, last = plain.rpartition('.')
        own = prefix + (root + _BASE + last if root in adapted else plain)
        if own not in state:
            names[own] = plain
    return require_same_base(base, names, expected)


def _write(content: Mapping[str, Any], out: str) -> None:
    if os.path.dirname(out):
        os.makedirs(os.path.dirname(out), exist_ok=True)
    aside = f'{out}.{os.getpid()}.part'
    try:
        torch.save(dict(content), aside)
        os.replace(aside, out)
    finally:
        if os.path.exists(aside):
            os.remove(aside)
