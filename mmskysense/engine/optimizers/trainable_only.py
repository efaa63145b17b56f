# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Parameter groups without frozen modules (ours)."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmskysense.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOnlyOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, but frozen modules are left out.

    The default gives each frozen parameter a group and a warning: for an EMA
    teacher, hundreds of both. Options are those of ``paramwise_cfg``.
    """

    def add_params(self, params: list[dict], module: nn.Module,
                   prefix: str = '', **kwargs: Any) -> None:
        """Add a module's groups unless all of its parameters are frozen.

        Args:
            params: Groups so far, extended in place.
            module: Module to add.
            prefix: Its name in the model.
            **kwargs: Passed on to mmengine.
        """
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            return
        super().add_params(params, module, prefix=prefix, **kwargs)
