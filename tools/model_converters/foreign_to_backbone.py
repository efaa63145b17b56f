# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Start an encoder from weights of timm, mmpretrain or SkySense V1.

    python tools/model_converters/foreign_to_backbone.py swinv2.pth \
        backbone.pth --arch small --report report.json

Says what was loaded, adapted and skipped, why, and what is left at random.
Exits with 1, and writes nothing, if nothing fits or less than --at-least.
"""

import argparse
import ast
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mmskysense import SkySenseV2
from mmskysense.models.foreign_weights import LAYOUTS, convert_weights
from mmskysense.registry import MODELS
from mmskysense.utils.checkpoint import read_checkpoint
from mmskysense.utils.command_line import check_file, plain_refusal
from mmskysense.utils.config import read_config
from mmskysense.utils.encoder_checkpoint import (
    load_checkpoint_strictly,
    write_encoder,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='the other network\'s weights')
    parser.add_argument('out', help='file to write')
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        '--arch', help='tiny, small, base, large, huge, or a dict such as '
        '"dict(embed_dims=96, depths=(2, 2, 6, 2), head_dims=64)"')
    target.add_argument('--config', help='config whose backbone is meant')
    parser.add_argument('--sensors', nargs='+', default=['hr_rgb'],
                        help='of the encoder, with --arch (hr_rgb)')
    parser.add_argument(
        '--sensor', help='whose tokenizer takes the patch embedding '
        '(default: the first)')
    parser.add_argument('--layout', choices=sorted(LAYOUTS),
                        help='of the weights (default: told by their keys)')
    parser.add_argument('--prefix', help='before the network\'s keys, e.g. '
                        'backbone. (default: found)')
    parser.add_argument(
        '--global-stages', action='store_true', default=None,
        help='start stages 3-4 from a Swin\'s too, as far as shapes fit '
        '(always so for skysense-v1-hr)')
    parser.add_argument(
        '--at-least', type=float, default=0.0, metavar='SHARE',
        help='share of the encoder, 0 to 1, that must come of the weights')
    parser.add_argument(
        '--start', metavar='FILE', help='the encoder\'s weights before, e.g. '
        'what this command made of a Swin, to add a ViT')
    parser.add_argument('--report', metavar='FILE', help='report as JSON')
    parser.add_argument('--seed', type=int, default=0, help='of the rest')
    return parser.parse_args()


def _backbone(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of a dense encoder."""
    if args.config:
        found = dict(read_config(args.config).model.backbone)
        if not str(found.pop('type', '')).endswith('SkySenseV2'):
            raise ValueError(f'config {args.config}: its backbone is no '
                             'SkySenseV2; give another config, or --arch')
        # Dense weights load into experts; the rest is no matter of weights.
        for name in ('moe', 'init_cfg', 'frozen_stages', 'out_indices'):
            found.pop(name, None)
        return found
    arch = args.arch
    if arch.startswith('dict(') or arch.startswith('{'):
        arch = _literal(arch)
    return dict(arch=arch, sensors=args.sensors, sensor=args.sensors[0])


def _literal(text: str) -> dict[str, Any]:
    """A dict of plain values, written as a literal or as ``dict(a=1)``."""
    try:
        node = ast.parse(text, mode='eval').body
        if isinstance(node, ast.Call) and not node.args:
            return {str(word.arg): ast.literal_eval(word.value)
                    for word in node.keywords}
        return dict(ast.literal_eval(node))
    except (SyntaxError, ValueError, TypeError):
        raise ValueError(f'--arch {text}: expected a name or a dict of plain '
                         'values') from None


def main() -> None:
    """Convert, report, and write."""
    args = parse_args()
    with plain_refusal('foreign_to_backbone.py',
                       ('arch', 'sensor', 'layout', 'prefix')):
        if not 0 <= args.at_least <= 1:
            raise ValueError(f'--at-least {args.at_least}: expected a share '
                             'from 0 to 1')
        options = _backbone(args)
        check_file(args.checkpoint, 'checkpoint', 'give the weights of timm, '
                   'mmpretrain or SkySense V1 (.pth, .pt, .bin)')
        content = read_checkpoint(args.checkpoint)
        torch.manual_seed(args.seed)
        encoder: SkySenseV2 = MODELS.build(
            dict(options, type='mmskysense.SkySenseV2'))
        encoder.init_weights()
        if args.start:
            load_checkpoint_strictly(encoder, args.start)
        state, report = convert_weights(content, encoder, args.sensor,
                                        args.layout, args.prefix,
                                        args.global_stages)
        if args.start:
            report = replace(report, notes=(
                *report.notes, f"'at random' here means: as in {args.start}"))
        if args.report:
            aside = f'{args.report}.part'
            Path(aside).write_text(json.dumps(report.to_dict(), indent=1))
            os.replace(aside, args.report)
        print(report)
        if report.share < args.at_least:
            sys.exit(f'foreign_to_backbone.py: error: {report.share:.1%} of '
                     f'the encoder came of {args.checkpoint}, expected '
                     f'{args.at_least:.1%} (--at-least); nothing was written')
        arch = options.get('arch', 'base')
        write_encoder(args.out, state, dict(
            arch=arch if isinstance(arch, str) else dict(arch),
            sensors=list(encoder.sensors), converted=report.to_dict()))
    print(f'{args.out}: written')


if __name__ == '__main__':
    main()
