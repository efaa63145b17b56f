# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Mixed precision on a CPU (ours; mmengine's wrapper refuses CPUs)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmskysense.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16 where torch's autocast allows it.

    Parameters, gradients and the optimiser stay in float32. bfloat16 has
    float32's exponent range, so no loss scaling is needed.

    Args:
        **kwargs: Arguments of :class:`mmengine.optim.OptimWrapper`.

    Example:
        >>> import torch
        >>> from mmskysense.engine import CPUAmpOptimWrapper
        >>> model = torch.nn.Linear(4, 2)
        >>> wrapper = CPUAmpOptimWrapper(
        ...     optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        >>> with wrapper.optim_context(model):
        ...     output = model(torch.ones(1, 4))
        >>> output.dtype
        torch.bfloat16
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast in addition to what the base class does.

        Args:
            model (nn.Module): The model that is trained.

        Yields:
            None: Inside, eligible CPU operations run in bfloat16.
        """
        with super().optim_context(model), \
                torch.autocast('cpu', dtype=torch.bfloat16):
            yield
