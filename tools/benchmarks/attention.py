# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Time a training step of attention against torch's kernel, in one run.

The sizes are those of the tiny encoder: windows of 8 x 8 tokens with a
learned position bias, and maps of 20 to 580 tokens without one.

    python tools/benchmarks/attention.py --dtype bfloat16 --json out.json
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mmskysense.models.layers import attend
from mmskysense.utils.benchmark import (
    interleave,
    machine,
    print_medians,
    write_json,
)

# Label -> batch, heads, tokens, channels of a head, learned bias.
SIZES = {
    'windows of 64 tokens, learned bias': (256, 3, 64, 16, True),
    '20 tokens': (128, 12, 20, 16, False),
    '68 tokens': (48, 12, 68, 16, False),
    '260 tokens': (12, 12, 260, 16, False),
    '580 tokens': (4, 12, 580, 16, False),
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--dtype', default='bfloat16',
                        choices=('bfloat16', 'float32'))
    parser.add_argument('--rounds', type=int, default=9,
                        help='timed rounds, each candidate once a round')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json', help='where to write all timings')
    return parser.parse_args()


def step(attention: Callable[..., Tensor], tensors: tuple[Tensor, ...],
         bias: Tensor | None) -> None:
    """One forward and one backward pass."""
    output = attention(*tensors, bias)
    output.backward(torch.ones_like(output))


def main() -> None:
    """Run all sizes, print a table, write the JSON."""
    args = parse_args()
    torch.manual_seed(0)
    dtype = getattr(torch, args.dtype)
    report: dict = {'machine': machine(args.device), 'dtype': args.dtype,
                    'seconds': {}}
    for label, (batch, heads, tokens, channels, learned) in SIZES.items():
        tensors = tuple(
            torch.randn(batch, heads, tokens, channels, dtype=dtype,
                        device=args.device, requires_grad=True)
            for _ in range(3))
        bias = torch.randn(1, heads, tokens, tokens, dtype=dtype,
                           device=args.device,
                           requires_grad=True) if learned else None
        seconds = interleave(
            {'mmskysense': partial(step, attend, tensors, bias),
             'torch': partial(step, F.scaled_dot_product_attention, tensors,
                              bias)},
            args.rounds, args.device, label)
        print_medians(label, seconds)
        report['seconds'][label] = seconds
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    main()
