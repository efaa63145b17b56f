#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How good are an encoder's frozen features: k-NN or a linear probe."""

import argparse
from collections.abc import Sequence

import torch
from mmengine.config import DictAction

from mmskysense.evaluation.probing import (
    FEATURES,
    METHODS,
    ProbeOptions,
    build_encoder,
    installed_versions,
    probe_images,
    read_image_list,
    write_record,
)
from mmskysense.utils import check_file, plain_refusal
from mmskysense.utils.config import read_config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', help='pre-training, downstream or backbone config')
    parser.add_argument(
        'checkpoint', help='checkpoint file, or none for random weights')
    parser.add_argument('--method', choices=METHODS, default='knn')
    data = parser.add_argument_group('data: class folders with lists')
    data.add_argument('--data-root', metavar='DIR',
                      help='folder of the class folders, or of images/')
    data.add_argument('--train-list', metavar='FILE',
                      help='lines Class/name.jpg')
    data.add_argument('--test-list', metavar='FILE')
    encoder = parser.add_argument_group('encoder')
    encoder.add_argument('--branch', choices=['teacher', 'student'],
                         help='of a pre-training checkpoint (teacher)')
    encoder.add_argument('--sensor', help='of the images (the backbone\'s)')
    encoder.add_argument('--features', choices=FEATURES, default='last')
    encoder.add_argument(
        '--blocks', type=int, nargs='*', metavar='N',
        help='features of these blocks, side by side; all without numbers')
    encoder.add_argument('--each', action='store_true',
                         help='judge each stage or block by itself too')
    encoder.add_argument('--image-size', type=int, metavar='PIXELS')
    encoder.add_argument('--batch-size', type=int, default=64)
    encoder.add_argument('--bfloat16', action='store_true')
    encoder.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    encoder.add_argument('--cfg-options', nargs='+', action=DictAction,
                         help='overrides of the config as key=value')
    judge = parser.add_argument_group('probe')
    judge.add_argument('--k', type=int, default=20, help='of the k-NN')
    judge.add_argument('--temperature', type=float, default=0.07)
    judge.add_argument('--plain', action='store_true',
                       help='k-NN with one vote for each neighbour')
    judge.add_argument('--fraction', type=float, default=1.0,
                       help='share of the training labels, e.g. 0.01')
    judge.add_argument('--seed', type=int, default=0)
    judge.add_argument('--seeds', type=int, default=1, metavar='NUMBER',
                       help='so many seeds, from --seed on')
    parser.add_argument('--json', metavar='FILE', help='write the result')
    parser.add_argument('--quiet', action='store_true',
                        help='no progress bar')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Probe."""
    args = parse_args(argv)
    with plain_refusal('probe.py'):
        checkpoint = None if args.checkpoint.lower() == 'none' \
            else args.checkpoint
        if checkpoint is not None:
            check_file(checkpoint, 'checkpoint', 'give a .pth file, or none '
                       'for random weights')
        if args.seeds < 1:
            raise ValueError(f'--seeds {args.seeds}: expected at least 1')
        for name in ('data_root', 'train_list', 'test_list'):
            if getattr(args, name) is None:
                raise ValueError(f'--{name.replace("_", "-")} is missing')
        config = read_config(args.config, args.cfg_options)
        train = read_image_list(args.data_root, args.train_list)
        test = read_image_list(args.data_root, args.test_list, train.classes)
        features = 'blocks' if args.blocks is not None else args.features
        result = probe_images(
            lambda seed: build_encoder(
                config, checkpoint, args.branch, features, args.blocks or (),
                args.sensor, seed),
            train, test,
            ProbeOptions(
                args.method, args.k, None if args.plain else args.temperature,
                args.fraction, args.image_size, args.batch_size, args.device,
                args.bfloat16, args.each, not args.quiet),
            range(args.seed, args.seed + args.seeds),
            same_weights=checkpoint is not None)
        result.update(
            config=args.config, checkpoint=args.checkpoint, features=features,
            blocks=args.blocks, branch=args.branch, seed=args.seed,
            cfg_options=args.cfg_options, device=args.device,
            train_list=args.train_list, test_list=args.test_list,
            versions=installed_versions())
        if args.json:
            write_record(args.json, result)
    low, high = result['ci95']
    print(f'{args.method} top-1 {100 * result["top1"]:.1f} % (95 %: '
          f'{100 * low:.1f} to {100 * high:.1f}), {result["n_train"]} '
          f'training and {result["n_test"]} test images, '
          f'{result["feature_dims"]} features, {result["seconds"]:.1f} s')
    for part in result.get('each', ()):
        low, high = part['ci95']
        print(f'  {part["features"]:10s} {100 * part["top1"]:.1f} % '
              f'({100 * low:.1f} to {100 * high:.1f})')


if __name__ == '__main__':
    main()
