#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Test a model: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmskysense.engine import (
    leave_launch,
    prepare_launch,
    use_test_time_augmentation,
)
from mmskysense.engine.preflight import (
    check_data_roots,
    check_datasets,
    data_refusal,
    missing_data_explained,
)
from mmskysense.utils import check_file, plain_refusal
from mmskysense.utils.checkpoint import check_checkpoint
from mmskysense.utils.config import read_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Test (and evaluate).')
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--work-dir',
        help='where the log and the metrics go (default: the config\'s '
        'work_dir, else work_dirs/<name of the config>)')
    parser.add_argument('--out', help='save the predictions as FILE.pkl')
    parser.add_argument(
        '--show-dir',
        help='paint the predictions into this folder (needs a config with a '
        'visualization hook, as the hosts\' have)')
    parser.add_argument(
        '--tta', action='store_true',
        help='test-time augmentation: also on both flips of each image, or '
        'with the config\'s tta_model and tta_pipeline')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overrides of the config as key=value')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0,
        help='set by the launcher')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def build_config(args: argparse.Namespace) -> Config:
    """Merge the command line into the config."""
    check_file(args.checkpoint, 'checkpoint',
               'give a .pth file that tools/train.py wrote')
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--out {args.out}: expected a name that ends in '
                         '.pkl or .pickle')
    cfg = read_config(args.config, args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show_dir is not None:
        hook = cfg.get('default_hooks', {}).get('visualization')
        if hook is None:
            raise ValueError('--show-dir: the config has no default_hooks.'
                             'visualization; add the host\'s visualization '
                             'hook or leave --show-dir out')
        if hook.type.rpartition('.')[2] == 'VisualizationHook':
            # mmpretrain's has other names for the same, and would draw one
            # sample of 5000.
            hook.update(enable=True)
            hook.setdefault('interval', 1)
        else:
            hook.update(draw=True)
        cfg.visualizer.save_dir = args.show_dir
    if args.tta:
        use_test_time_augmentation(cfg)
    prepare_launch(cfg, args.launcher)
    return cfg


def main() -> None:
    """Test."""
    args = parse_args()
    with plain_refusal('test.py'):
        cfg = build_config(args)
        check_data_roots(cfg, 'test')
        runner = (
            RUNNERS.build(cfg)
            if 'runner_type' in cfg else Runner.from_cfg(cfg))
        # A test-time-augmentation wrapper is not in the checkpoint.
        model = runner.model.module if args.tta else runner.model
        check_checkpoint(model, args.checkpoint)
        with missing_data_explained():
            loop = runner.test_loop
        check_datasets(loop)
    if args.out is not None:
        runner.test_evaluator.metrics.append(
            DumpResults(out_file_path=args.out))
    with data_refusal('test.py'):
        runner.test()


if __name__ == '__main__':
    main()
    leave_launch()
