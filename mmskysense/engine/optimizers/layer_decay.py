# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Layer-wise learning-rate decay, in any host."""

from collections.abc import Sequence

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmskysense.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmskysense.utils.command_line import UsageError

_RATE = 0.9
# Learned, but no weights: pulling them to zero has no meaning.
_NO_DECAY = ('prompts', 'logit_scale', 'pos_embed', 'position_embedding',
             'cls_token', 'queries', 'relative_position_bias_table')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Lower learning rates for lower layers; no weight decay on 1-d weights.

    A parameter of layer l of L gets lr * layer_decay_rate^(L - 1 - l), heads
    the full rate. Layers are asked of the innermost modules that have
    ``get_layer_depth(name, prefix)``, the contract of mmpretrain's own
    constructor, so it needs no host and works in all of them. mmpretrain's
    ``LearningRateDecayOptimWrapperConstructor`` also works with SkySenseV2,
    in mmpretrain.

    ``paramwise_cfg`` may have:

    - ``layer_decay_rate``: above 0 and at most 1; 1 switches the decay by
      layer off. Default: 0.9 (spec section 4, iSAID).
    - ``no_decay``: parameters with one of these strings in their name get
      no weight decay, in addition to all parameters of less than two
      dimensions (biases, norms, LayerScale). Default: prompts, tokens,
      attention temperatures, position tables.

    Example::

        optim_wrapper = dict(
            optimizer=dict(type='AdamW', lr=6e-5, weight_decay=0.05),
            constructor='mmskysense.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.9))

    Raises:
        ValueError: Unknown or impossible option, or a decay below 1 and no
            module that knows its layers.
    """

    def __init__(self,
                 optim_wrapper_cfg: dict,
                 paramwise_cfg: dict | None = None) -> None:
        # The base class would skip add_params for an empty paramwise_cfg.
        super().__init__(optim_wrapper_cfg,
                         paramwise_cfg or dict(layer_decay_rate=_RATE))

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   is_dcn_module: int | float | None = None) -> None:
        """Fill the optimiser's groups, one for each layer and decay.

        Args:
            params: The groups; extended in place.
            module: The whole model.
            prefix: Of parameter names; always empty here.
            is_dcn_module: Of the base class; not used.
        """
        rate, no_decay = self._options()
        encoders = _modules_with_layers(module)
        if rate < 1 and not encoders:
            raise ValueError(
                f'layer_decay_rate={rate}: no module of '
                f'{type(module).__name__} has get_layer_depth; use a backbone '
                'that has it, such as SkySenseV2, or set it to 1')
        groups: dict[tuple[float, float | None], dict] = {}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            scale = rate**_layers_below_head(name, encoders)
            decay = self.base_wd
            if decay is not None and (parameter.ndim < 2 or any(
                    key in name for key in no_decay)):
                decay = 0.0
            group = groups.setdefault((scale, decay), dict(params=[]))
            group['params'].append(parameter)
        for (scale, decay), group in sorted(
                groups.items(), key=lambda item: item[0][0]):
            group['lr_scale'] = scale
            if self.base_lr is not None:
                group['lr'] = self.base_lr * scale
            if decay is not None:
                group['weight_decay'] = decay
            params.append(group)
        MMLogger.get_current_instance().info(
            f'{type(self).__name__}: {len(params)} groups, learning rates '
            f'scaled by {params[0]["lr_scale"]:.3g} to '
            f'{params[-1]["lr_scale"]:.3g}')

    def _options(self) -> tuple[float, Sequence[str]]:
        options = dict(self.paramwise_cfg or {})
        rate = options.pop('layer_decay_rate', _RATE)
        no_decay = options.pop('no_decay', _NO_DECAY)
        if options:
            raise UsageError(
                f'paramwise_cfg has {sorted(options)}, which '
                f'{type(self).__name__} does not know; expected '
                'layer_decay_rate and no_decay')
        if not 0 < rate <= 1:
            raise UsageError(f'layer_decay_rate={rate}: expected above 0 and '
                             'at most 1')
        return rate, no_decay


def _modules_with_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Prefix -> innermost module that knows its layers.

    mmpretrain's classifier has ``get_layer_depth`` as well and only forwards
    the question; the innermost one answers it.
    """
    found = {
        f'{name}.' if name else '': module
        for name, module in model.named_modules()
        if callable(getattr(module, 'get_layer_depth', None))
    }
    return {
        prefix: module
        for prefix, module in found.items()
        if not any(other != prefix and other.startswith(prefix)
                   for other in found)
    }


def _layers_below_head(name: str, encoders: dict[str, nn.Module]) -> int:
    for prefix, module in encoders.items():
        if name.startswith(prefix):
            depth, count = module.get_layer_depth(name, prefix)
            return count - 1 - depth
    return 0
