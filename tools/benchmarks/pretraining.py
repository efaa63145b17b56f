# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What QSACL adds to a step of pre-training: operations and time, in one run.

The model of a config with QSACL as it is, with every local view through the
teacher, and without QSACL take a step in turn (A B C A B C ...), forward and
backward, on the same batch of the sample world. Operations are counted from
shapes (tools/plan.py)::

    python tools/make_sample_data.py
    python tools/benchmarks/pretraining.py --json out.json
    python tools/benchmarks/pretraining.py CONFIG --count-only
"""

import argparse
import copy
import statistics
import time
from functools import partial

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmskysense.models import SkySenseV2Pretrainer
from mmskysense.registry import MODELS
from mmskysense.utils.benchmark import (
    interleave,
    machine,
    print_medians,
    write_json,
)
from mmskysense.utils.config import read_config
from mmskysense.utils.cost import plan

CONFIG = 'configs/skysense_v2/skysense_v2_tiny_1xb8-2k_sample-world-rgb.py'
#: Changes of the model; the first is what the others are compared with.
VARIANTS = {
    'without QSACL': dict(qsacl_head=None),
    'QSACL': {},
    'QSACL, all local views': dict(qsacl_local_views=None),
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='?', default=CONFIG)
    parser.add_argument('--data-root', default='data/sample_world')
    parser.add_argument('--batch', type=int,
                        help="tiles that are timed (the config's batch)")
    parser.add_argument('--rounds', type=int, default=9,
                        help='timed rounds, each variant once a round')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--count-only', action='store_true',
                        help='count operations, time nothing')
    parser.add_argument('--json', help='where to write everything')
    return parser.parse_args()


def variant(cfg: Config, changes: dict) -> Config:
    """The config with another model."""
    changed = copy.deepcopy(cfg)
    changed.model.update(changes)
    return changed


def build(cfg: Config, device: str) -> SkySenseV2Pretrainer:
    """The config's model as a runner would build it."""
    torch.manual_seed(0)
    model = MODELS.build(dict(
        cfg.model, data_preprocessor=cfg.data_preprocessor))
    return model.to(device).train()


def step(model: SkySenseV2Pretrainer, batch: dict) -> None:
    """Forward and backward pass."""
    torch.manual_seed(0)
    data = model.data_preprocessor(copy.copy(batch), True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    model.zero_grad()


def main() -> None:
    """Count, time, print a table, write the JSON."""
    args = parse_args()
    cfg = read_config(args.config, dict(data_root=args.data_root))
    cfg.train_dataloader.dataset.data_root = args.data_root
    cfg.train_dataloader.num_workers = 0
    cfg.train_dataloader.persistent_workers = False
    init_default_scope('mmskysense')
    configs = {name: variant(cfg, changes)
               for name, changes in VARIANTS.items()}
    report: dict = dict(config=args.config, machine=machine(args.device),
                        batch=args.batch or cfg.train_dataloader.batch_size)
    flops = report['flops'] = {
        name: plan(changed).step.flops for name, changed in configs.items()}
    least = flops['without QSACL']
    for name, count in flops.items():
        print(f'{name:24s} {count / 1e9:12.1f} GFLOPs, QSACL is '
              f'{1 - least / count:6.1%} of the step')
    if not args.count_only:
        cfg.train_dataloader.batch_size = report['batch']
        batch = next(iter(Runner.build_dataloader(cfg.train_dataloader,
                                                  seed=0)))
        # Seconds of this process: other jobs on the machine hardly matter.
        clock = time.perf_counter if args.device.startswith('cuda') \
            else time.process_time
        seconds = report['seconds'] = interleave(
            {name: partial(step, build(changed, args.device), batch)
             for name, changed in configs.items()},
            args.rounds, args.device, 'steps', clock)
        print_medians('step', seconds)
        pairs = zip(seconds['without QSACL'], seconds['QSACL'], strict=True)
        share = statistics.median(1 - a / b for a, b in pairs)
        report['share_of_step'] = share
        print(f'QSACL is {share:.1%} of a step (median of {args.rounds})')
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    main()
