# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What the processes of a run tell each other in a loss.

Each function is the identity in a run of one process. None waits for the
device, and none takes part in a backward pass: collectives there could come
in another order on a process whose batch has other sensors.
"""

import torch
from torch import Tensor, distributed


def world_size() -> int:
    """Processes of the run."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum of a tensor (any shape), without gradient."""
    if world_size() == 1:
        return x.detach()
    x = x.detach().clone()
    distributed.all_reduce(x)
    return x


def max_over_processes(x: Tensor) -> Tensor:
    """Largest values of a tensor (any shape), without gradient."""
    if world_size() == 1:
        return x.detach()
    x = x.detach().clone()
    distributed.all_reduce(x, op=distributed.ReduceOp.MAX)
    return x


def gather_over_processes(x: Tensor) -> Tensor:
    """Concatenate (n, ...) of all processes; only the own part has gradient.

    Args:
        x: (n, ...), of the same shape on every process.

    Returns:
        (world_size * n, ...), in the order of the processes.
    """
    if world_size() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(world_size())]
    distributed.all_gather(parts, x.detach().contiguous())
    parts[distributed.get_rank()] = x
    return torch.cat(parts)


def weighted_mean(total: Tensor, weight: Tensor) -> Tensor:
    """``total / weight``, so that the processes' mean is that of all samples.

    DistributedDataParallel averages gradients over processes. Dividing by
    the processes' mean weight makes that average the gradient of the joined
    batch, also where processes have different weights.

    Args:
        total: Weighted sums over the samples of this process (any shape).
        weight: Sums of their weights, of the same shape.

    Returns:
        Of the same shape; 0 in the graph where no process has weight.
    """
    weight = sum_over_processes(weight.to(total)) / world_size()
    return total / torch.where(weight > 0, weight, torch.ones_like(weight))
