# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Whether a device computes in bfloat16, or only emulates it."""

from __future__ import annotations

import logging

import torch
from mmengine.logging import print_log

#: What to say of a CPU that emulates; the factor is of one training step of
#: the tiny encoder, docs/evidence/pretraining.md.
EMULATED = ('this CPU has no instructions for bfloat16, and torch emulates '
            'them: a training step took about ten times as long as in float32')


def has_bfloat16(device: str | torch.device = 'cpu') -> bool:
    """Whether a device multiplies matrices in bfloat16 by itself.

    A GPU is taken to (older ones are told apart by
    ``torch.cuda.is_bf16_supported``); of CPUs those with AVX-512, AMX or
    Arm's bfloat16 do, as oneDNN says.
    """
    if torch.device(device).type != 'cpu':
        return True
    supported = getattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', None)
    return True if supported is None else bool(supported())


def tell_emulated_bfloat16(option: str, device: str | torch.device) -> None:
    """Warn where an option for speed will cost time.

    Args:
        option: As the user wrote it, such as ``--amp``.
        device: Where the network runs.
    """
    if not has_bfloat16(device):
        print_log(f'{option}: {EMULATED}; leave {option} out here',
                  'current', logging.WARNING)
