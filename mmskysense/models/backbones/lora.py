# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The encoder with low-rank adapters (LoRA) in its linear layers.

Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022,
arXiv 2106.09685; layers of the ``peft`` library.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmskysense.registry import MODELS
from mmskysense.utils.checkpoint import read_checkpoint
from mmskysense.utils.encoder_checkpoint import encoder_state
from mmskysense.utils.lora_checkpoint import (
    CHECKSUM,
    checksum,
    require_same_base,
)

from .skysense_v2 import SkySenseV2

_LAYERS = ('qkv', 'proj', 'fc1', 'fc2')
_TRAINED = ('norms', 'prompts', 'tokenizers')
_SAVES = ('all', 'adapters')


@dataclass(frozen=True)
class LoRAOptions:
    """Which layers get adapters, of which size, and what is saved.

    Args:
        rank: Of the update: two matrices, (rank, in) and (out, rank).
        alpha: The update is scaled by alpha / rank.
        dropout: On the input of the update.
        layers: Of attention ``'qkv'`` and ``'proj'``, of feed-forward
            networks ``'fc1'`` and ``'fc2'``. In stages 1-2 ``qkv`` has
            none: its weight is used beside the layer. Experts have none.
        stages: Stages (1 to 4) whose blocks get adapters.
        trained: What else of the encoder is trained: ``'norms'`` of the
            outputs, ``'prompts'``, ``'tokenizers'``. Give the last two for
            a sensor that the checkpoint has never seen.
        save: ``'all'``, or ``'adapters'``: checkpoints leave out what
            stands unchanged in the file of ``init_cfg``, which is needed
            again to load them.

    Raises:
        ValueError: An option is impossible.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    layers: Sequence[str] = _LAYERS
    stages: Sequence[int] = (1, 2, 3, 4)
    trained: Sequence[str] = ('norms', )
    save: str = 'all'

    def __post_init__(self) -> None:
        for name, known in (('layers', _LAYERS), ('trained', _TRAINED),
                            ('stages', (1, 2, 3, 4))):
            given = getattr(self, name)
            if isinstance(given, str) or not set(given) <= set(known):
                raise ValueError(f'lora.{name}={given!r}: expected a subset '
                                 f'of {known}')
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                f'lora: rank={self.rank}, alpha={self.alpha}, '
                f'dropout={self.dropout}: expected a rank of at least 1, an '
                'alpha above 0 and a dropout of at least 0 and below 1')
        if self.save not in _SAVES:
            raise ValueError(f"lora.save='{self.save}': expected one of "
                             f'{_SAVES}')


class _Names(set[str]):
    """A set that copies of a model share.

    ``EMAHook`` copies the model before its weights are there, and both must
    leave out the same.
    """

    def replace(self, names: Iterable[str]) -> None:
        names = set(names)
        self.clear()
        self.update(names)

    def __deepcopy__(self, memo: dict) -> _Names:
        return self


@MODELS.register_module()
class LoRASkySenseV2(SkySenseV2):
    """:class:`SkySenseV2`, frozen, with trained low-rank adapters.

    Stands wherever ``SkySenseV2`` stands. An adapter starts at zero: before
    training the maps are those of the plain encoder with the checkpoint of
    ``init_cfg``. ``tools/model_converters/merge_lora.py`` adds the adapters
    to the weights; the result is an ordinary ``SkySenseV2``.

    Args:
        *args: Of :class:`SkySenseV2`.
        lora: Arguments of :class:`LoRAOptions`.
        **kwargs: Of :class:`SkySenseV2`.

    Raises:
        ImportError: ``peft`` is not installed.
        ValueError: An option is impossible, no layer fits it, or adapters
            shall be saved alone and ``init_cfg`` names no checkpoint.

    Example::

        backbone = dict(
            type='mmskysense.LoRASkySenseV2', arch='base',
            init_cfg=dict(type='Pretrained', checkpoint='encoder.pth'),
            lora=dict(rank=8, alpha=16))
    """

    def __init__(self, *args: Any, lora: Mapping[str, Any] | None = None,
                 **kwargs: Any) -> None:
        try:
            options = LoRAOptions(**(lora or {}))
        except TypeError as error:
            raise ValueError(f'lora={dict(lora or {})}: {error}') from None
        peft = _peft()
        super().__init__(*args, **kwargs)
        self.lora = options
        if self.lora.save == 'adapters' and not self.init_cfg:
            raise ValueError(
                "lora.save='adapters': init_cfg names no checkpoint that the "
                'rest could come from; set model.backbone.init_cfg.checkpoint '
                "or save='all'")
        self.adapted = tuple(_adapted_names(self, self.lora))
        if not self.adapted:
            raise ValueError(
                f'lora: no layer of {self.lora.layers} in stages '
                f'{tuple(self.lora.stages)}; stages 1-2 have no adapter in '
                'qkv, experts have none at all')
        peft.inject_adapter_in_model(
            peft.LoraConfig(
                r=self.lora.rank, lora_alpha=self.lora.alpha,
                lora_dropout=self.lora.dropout,
                target_modules=list(self.adapted)), self)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_('.lora_' in name or any(
                part in name.split('.') for part in self.lora.trained))
        self._freeze()
        # Of the checkpoint of init_cfg: what a saved file may leave out.
        self._unchanged = _Names()
        self._register_state_dict_hook(_leave_out_unchanged)

    @contextmanager
    def _plain(self) -> Iterator[None]:
        """Inside, the layers are those of a plain encoder."""
        layers = {name: self.get_submodule(name) for name in self.adapted}
        try:
            for name, layer in layers.items():
                self._put(name, layer.base_layer)
            yield
        finally:
            for name, layer in layers.items():
                self._put(name, layer)

    def _put(self, name: str, layer: nn.Module) -> None:
        parent, _, child = name.rpartition('.')
        setattr(self.get_submodule(parent), child, layer)

    def init_weights(self) -> None:
        """The plain encoder's weights; adapters that change nothing."""
        with self._plain():
            super().init_weights()
        for name in self.adapted:
            self.get_submodule(name).reset_lora_parameters('default', True)
        if self.init_cfg is None:
            print_log(
                'LoRASkySenseV2 adapts an encoder of random weights; set '
                'model.backbone.init_cfg.checkpoint', 'current',
                level=logging.WARNING)
        elif self.lora.save == 'adapters':
            base = self._base()
            self._unchanged.replace(
                name for name, value in self.named_parameters()
                if not value.requires_grad and (
                    kept := base.get(_plain_name(name))) is not None
                and torch.equal(kept, value.cpu()))
        trained = sum(p.numel() for p in self.parameters() if p.requires_grad)
        total = sum(p.numel() for p in self.parameters())
        print_log(f'LoRA of rank {self.lora.rank} in {len(self.adapted)} '
                  f'layers: {trained / 1e6:.2f} M of the encoder\'s '
                  f'{total / 1e6:.2f} M weights are trained', 'current')

    def _base(self) -> dict[str, Tensor]:
        path = self.init_cfg['checkpoint']
        return encoder_state(read_checkpoint(path), path)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor],
                              prefix: str, *args: Any,
                              **kwargs: Any) -> None:
        """Take what a file of adapters leaves out from ``init_cfg``'s.

        Raises:
            CheckpointError: That file is missing, or is another one than
                when the adapters were trained.
        """
        expected = state_dict.pop(prefix + CHECKSUM, None)
        if expected is not None:
            absent = {name for name, _ in self.named_parameters()
                      if prefix + name not in state_dict}
            path = (self.init_cfg or {}).get('checkpoint')
            base = require_same_base(path, {
                name: _plain_name(name) for name in absent}, expected)
            state_dict.update({
                prefix + name: value for name, value in base.items()})
            self._unchanged.replace(absent)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _peft() -> ModuleType:
    """The library, or one line that says how to get one that works."""
    try:
        return import_module('peft')
    except ImportError as error:
        raise ImportError(
            f'LoRASkySenseV2 needs peft, which does not import ({error}); run '
            '`pip install -r requirements/lora.txt -c '
            'requirements/constraints.txt`') from error


def _adapted_names(encoder: SkySenseV2, options: LoRAOptions
                   ) -> Iterator[str]:
    """Names of the linear layers that get an adapter."""
    pattern = re.compile(r'stages\.(\d+)\.blocks\.\d+\.(attn|mlp)\.(\w+)')
    for name, module in encoder.named_modules():
        match = pattern.fullmatch(name)
        if match is None or not isinstance(module, nn.Linear):
            continue
        stage, layer = int(match[1]) + 1, match[3]
        if stage in options.stages and layer in options.layers and not (
                stage <= 2 and layer == 'qkv'):
            yield name


def _plain_name(name: str) -> str:
    """Name of a parameter in the plain encoder."""
    return name.replace('.base_layer.', '.')


def _leave_out_unchanged(module: LoRASkySenseV2, state: dict[str, Tensor],
                         prefix: str, _: Any) -> None:
    """Drop what stands in the checkpoint of ``init_cfg``; note its sum."""
    dropped = {
        name: state.pop(prefix + name)
        for name in sorted(module._unchanged) if prefix + name in state
    }
    if dropped:
        state[prefix + CHECKSUM] = checksum(dropped)
