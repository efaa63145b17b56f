#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Train a model: ``python tools/train.py CONFIG``."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from mmskysense.engine import enable_amp, leave_launch, prepare_launch
from mmskysense.engine.channel_check import check_channels
from mmskysense.engine.preflight import (
    check_data_roots,
    check_datasets,
    check_init_checkpoints,
    data_refusal,
    missing_data_explained,
)
from mmskysense.utils import check_file, plain_refusal
from mmskysense.utils.checkpoint import check_checkpoint
from mmskysense.utils.config import read_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='train config file path')
    parser.add_argument(
        '--work-dir',
        help='where logs and checkpoints go (default: the config\'s work_dir, '
        'else work_dirs/<name of the config>)')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: bfloat16, float16 on a GPU without it')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the real over the base batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        type=str,
        const='auto',
        help='continue from a checkpoint; without a path, from the latest in '
        'the work directory')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overrides of the config as key=value, e.g. '
        'data_root=DIR train_dataloader.batch_size=4 '
        'model.backbone.arch=small')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # torchrun and torch.distributed.launch spell it differently.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0,
        help='set by the launcher')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def build_config(args: argparse.Namespace) -> Config:
    """Merge the command line into the config."""
    cfg = read_config(args.config, args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                f'config {args.config}: --auto-scale-lr needs '
                'auto_scale_lr=dict(base_batch_size=...), the batch size the '
                'learning rate was chosen for; add it or leave the option out')
        cfg.auto_scale_lr.enable = True
    if args.resume == 'auto':
        cfg.resume, cfg.load_from = True, None
    elif args.resume is not None:
        check_file(args.resume, 'checkpoint to resume from',
                   'give the path of a .pth file that training wrote')
        cfg.resume, cfg.load_from = True, args.resume
    elif cfg.get('load_from') is not None:
        check_file(cfg.load_from, 'checkpoint in load_from',
                   'correct load_from in the config')
    if args.amp:
        enable_amp(cfg)
    prepare_launch(cfg, args.launcher)
    return cfg


def check_start(runner: Runner) -> None:
    """Refuse a checkpoint to start from that mmengine would load by halves."""
    path = runner._load_from
    if runner._resume and path is None:
        path = find_latest_checkpoint(runner.work_dir)
    if path is None:
        return
    content = check_checkpoint(runner.model, path)
    missing = [key for key in ('meta', 'optimizer', 'message_hub')
               if key not in content]
    if runner._resume and missing:
        raise ValueError(
            f"checkpoint {path}: cannot be resumed, it has no "
            f"{', '.join(missing)}; give a checkpoint that training wrote, or "
            'start a new schedule from its weights with --cfg-options '
            f'load_from={path}')


def main() -> None:
    """Train."""
    args = parse_args()
    with plain_refusal('train.py'):
        cfg = build_config(args)
        validates = cfg.get('val_cfg') is not None
        check_data_roots(cfg, 'train', *(['val'] if validates else []))
        runner = (
            RUNNERS.build(cfg)
            if 'runner_type' in cfg else Runner.from_cfg(cfg))
        if isinstance(runner, Runner):
            # Opens the data sets now: what is wrong is told before the first
            # iteration and not after the first epoch.
            with missing_data_explained():
                loops = [runner.train_loop]
                if validates:
                    loops.append(runner.val_loop)
            check_datasets(*loops)
            check_channels(
                runner.model.module if is_model_wrapper(runner.model)
                else runner.model)
            check_init_checkpoints(runner.model)
            check_start(runner)
    with data_refusal('train.py'):
        runner.train()


if __name__ == '__main__':
    main()
    leave_launch()
