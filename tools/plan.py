#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a pre-training config costs: ``python tools/plan.py CONFIG --gpus N``.

Parameters, floating-point operations of a step and memory of each GPU,
worked out in seconds from shapes alone; nothing is trained or loaded.
"""

import argparse
import json
import sys

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmskysense.utils.benchmark import write_json
from mmskysense.utils.command_line import plain_refusal
from mmskysense.utils.config import read_config
from mmskysense.utils.cost import Plan, plan


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='pre-training config')
    parser.add_argument('--gpus', type=int, default=1,
                        help='GPUs, each with the batch of the config (1)')
    parser.add_argument(
        '--json', nargs='?', const='-', metavar='FILE',
        help='write JSON into a file, or without one print it')
    parser.add_argument(
        '--metadata', action='store_true',
        help='print the entries of a metafile instead')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction,
        help='overrides of the config as key=value, e.g. '
        'train_dataloader.batch_size=4')
    return parser.parse_args()


def show(found: Plan) -> str:
    """The plan as text."""
    count, step, memory = found.parameters, found.step, found.memory
    lines = [
        f'parameters      {count.total / 1e6:10.1f} M   '
        f'(encoder {count.encoder / 1e6:.1f} M, active '
        f'{count.active / 1e6:.1f} M, trained {count.trainable / 1e6:.1f} M;'
        ' the teacher has as many)',
        f'batch           {found.batch_per_gpu * found.gpus:10d}     '
        f'({found.gpus} x {found.batch_per_gpu})',
        f'FLOPs of a step {found.flops / 1e12:10.2f} T   '
        f'(each GPU {step.flops / 1e12:.2f} T: student '
        f'{step.student / 1e12:.2f}, teacher {step.teacher / 1e12:.2f}, '
        f'backward {step.backward / 1e12:.2f})',
        f'memory of a GPU {memory.total:10.1f} GiB '
        f'(float32: weights {memory.weights:.1f}, optimiser '
        f'{memory.optimizer:.1f}, step {memory.step:.1f}, communication '
        f'{memory.communication:.1f}; sharded: {found.sharding})',
    ]
    lines += [f'assumed: {text}' for text in found.assumptions]
    return '\n'.join(lines)


def main() -> None:
    """Print the plan."""
    args = parse_args()
    with plain_refusal('plan.py', ('gpus', )):
        cfg = read_config(args.config, args.cfg_options)
        init_default_scope(cfg.get('default_scope', 'mmskysense'))
        found = plan(cfg, args.gpus)
        if args.json == '-':
            json.dump(found.as_dict(), sys.stdout, indent=1)
            print()
            return
        if args.json:
            write_json(args.json, found.as_dict())
    if args.metadata:
        print('\n'.join(f'{key}: {value}'
                        for key, value in found.metadata().items()))
    else:
        print(show(found))


if __name__ == '__main__':
    main()
