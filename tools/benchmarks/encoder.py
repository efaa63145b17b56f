# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Time the encoder against timm's and mmpretrain's Swin V2, in one run.

The size 'small' has the widths and depths of SwinV2-T, so all three do the
same amount of work but for attention in stages 3-4 (global here, windowed
there). The candidates run in turn (A B C A B C ...), so a drift of the
machine's speed meets all of them; medians and their ratios are printed.

    python tools/benchmarks/encoder.py --size 256 --batch 4 --json out.json
"""

import argparse
from functools import partial

import torch
from torch import Tensor, nn

from mmskysense import SkySenseV2
from mmskysense.models.layers import FeedForward, MixtureOfExperts
from mmskysense.utils.benchmark import (
    interleave,
    machine,
    print_medians,
    write_json,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, default=256,
                        help='image height and width in pixels')
    parser.add_argument('--batch', type=int, default=4, help='images')
    parser.add_argument('--rounds', type=int, default=5,
                        help='timed rounds, each candidate once a round')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--bfloat16', action='store_true',
                        help='run under bfloat16 autocast')
    parser.add_argument('--json', help='where to write all timings')
    return parser.parse_args()


def total(outputs: Tensor | list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """One number from any backbone's output, to start a backward pass."""
    if isinstance(outputs, Tensor):
        return outputs.float().mean()
    return sum(output.float().mean() for output in outputs)


def encoders(size: int) -> dict[str, nn.Module]:
    """The three backbones, all returning their four maps."""
    import timm
    from mmpretrain.models.backbones import SwinTransformerV2
    return {
        'mmskysense': SkySenseV2('small'),
        'timm': timm.create_model('swinv2_tiny_window8_256', img_size=size,
                                  features_only=True),
        'mmpretrain': SwinTransformerV2(
            arch='tiny', img_size=size, window_size=8, drop_path_rate=0.0,
            out_indices=(0, 1, 2, 3), pad_small_map=True),
    }


def window_stages(size: int) -> dict[str, nn.Module]:
    """Stage 1 alone, where the work is exactly the same."""
    from timm.models.swin_transformer_v2 import SwinTransformerV2Stage
    tokens = size // 4
    return {
        'mmskysense': SkySenseV2('small').stages[0],
        'timm': SwinTransformerV2Stage(
            dim=96, out_dim=96, input_resolution=(tokens, tokens), depth=2,
            num_heads=3, window_size=8, downsample=False),
    }


def step(module: nn.Module, inputs: tuple, backward: bool,
         autocast: bool) -> None:
    """One forward pass, or one forward and one backward pass."""
    device = inputs[0].device.type
    module.train(backward)
    with torch.set_grad_enabled(backward), torch.autocast(
            device, torch.bfloat16, enabled=autocast):
        loss = total(module(*inputs))
    if backward:
        loss.backward()
        module.zero_grad()


def main() -> None:
    """Run all comparisons, print a table, write the JSON."""
    args = parse_args()
    torch.manual_seed(0)
    image = torch.randn(args.batch, 3, args.size, args.size,
                        device=args.device)
    tokens = torch.randn(args.batch, args.size // 4, args.size // 4, 96,
                         device=args.device)
    sequence = torch.randn(args.batch * (args.size // 16)**2, 384,
                           device=args.device)
    mixture = MixtureOfExperts(384, 1536, num_experts=8)
    with torch.no_grad():  # spread the tokens over the experts
        mixture.router.gate.weight.normal_()
    networks: dict[str, nn.Module] = {
        'dense': FeedForward(384, 1536),
        'mixture of 8, top-1': mixture,
    }
    groups: dict[str, tuple[dict[str, nn.Module], dict[str, tuple]]] = {
        'encoder': (encoders(args.size), {}),
        'stage 1': (window_stages(args.size),
                    {'mmskysense': (tokens, 'hr_rgb', 1.0),
                     'timm': (tokens, )}),
        'feed-forward': (networks, dict.fromkeys(networks, (sequence, ))),
    }
    report = {
        'machine': machine(args.device),
        'size': args.size, 'batch': args.batch, 'bfloat16': args.bfloat16,
        'seconds': {},
    }
    for group, (modules, inputs) in groups.items():
        for backward in (False, True):
            label = f"{group}, forward{' and backward' * backward}"
            candidates = {
                name: partial(step, module.to(args.device),
                              inputs.get(name, (image, )), backward,
                              args.bfloat16)
                for name, module in modules.items()
            }
            seconds = interleave(candidates, args.rounds, args.device, label)
            report['seconds'][label] = seconds
            print_medians(label, seconds)
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    main()
