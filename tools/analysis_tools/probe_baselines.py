#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a user has without pre-training of their own, probed alike."""

import argparse
from collections.abc import Sequence
from typing import Any

import torch

from mmskysense.evaluation.probing import (
    METHODS,
    ProbeOptions,
    installed_versions,
    probe_images,
    read_image_list,
    write_record,
)
from mmskysense.evaluation.probing.baselines import (
    DinoOptions,
    colour_forest,
    make_imagenet_encoder,
    make_vision_transformer,
    train_dino,
)
from mmskysense.utils import check_file, plain_refusal

BASELINES = ('colour_forest', 'imagenet', 'random_vit', 'lightly_dino')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('baseline', choices=BASELINES)
    parser.add_argument('--method', choices=METHODS, default='knn',
                        help='of all but the random forest')
    parser.add_argument('--data-root', metavar='DIR', required=True,
                        help='folder of the class folders, or of images/')
    parser.add_argument('--train-list', metavar='FILE', required=True)
    parser.add_argument('--test-list', metavar='FILE', required=True)
    parser.add_argument('--fraction', type=float, default=1.0,
                        help='share of the training labels, e.g. 0.01')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--seeds', type=int, default=1, metavar='NUMBER')
    parser.add_argument('--pooling', choices=['class_token', 'mean'],
                        default='class_token', help='of the ViT')
    parser.add_argument('--standardise', action='store_true',
                        help='k-NN of features of mean 0 and deviation 1; of '
                        'all but the random forest')
    parser.add_argument('--json', metavar='FILE', help='write the result')
    parser.add_argument('--quiet', action='store_true',
                        help='no progress bar')
    dino = parser.add_argument_group('lightly_dino')
    dino.add_argument('--pretrain-list', metavar='FILE',
                      help='images to train on without their labels')
    dino.add_argument('--minutes', type=float, default=30.0)
    dino.add_argument('--threads', type=int, default=2)
    dino.add_argument('--workers', type=int, default=1,
                      help='processes that augment')
    dino.add_argument('--batch-size', type=int, default=64)
    dino.add_argument('--max-steps', type=int)
    dino.add_argument('--save', metavar='FILE',
                      help='write the weights and the record of the run')
    dino.add_argument('--load', metavar='FILE',
                      help='probe what --save wrote, without training')
    return parser.parse_args(argv)


def dino_weights(args: argparse.Namespace, test_paths: set[str]
                 ) -> tuple[Any, dict[str, Any]]:
    """Train, or load, DINO's weights and the record of their training."""
    if args.load:
        check_file(args.load, 'weights', 'give what --save wrote')
        content = torch.load(args.load, weights_only=True)
        return content['state_dict'], content['pretraining']
    if args.pretrain_list is None:
        raise ValueError('lightly_dino needs --pretrain-list (or --load)')
    images = read_image_list(args.data_root, args.pretrain_list)
    seen = test_paths & set(images.paths)
    if seen:
        raise ValueError(f'{args.pretrain_list}: {len(seen)} of its images '
                         'are in the test list; take them out')
    state, record = train_dino(images.paths, DinoOptions(
        args.minutes, args.threads, args.workers, args.batch_size,
        max_steps=args.max_steps, seed=args.seed))
    if args.save:
        torch.save(dict(state_dict=state, pretraining=record), args.save)
    return state, record


def probe(args: argparse.Namespace) -> dict[str, Any]:
    """Probe one baseline."""
    train = read_image_list(args.data_root, args.train_list)
    test = read_image_list(args.data_root, args.test_list, train.classes)
    seeds = range(args.seed, args.seed + args.seeds)
    if args.baseline == 'colour_forest':
        return colour_forest(train, test, args.fraction, seeds)
    options = dict(method=args.method, fraction=args.fraction, image_size=64,
                   progress=not args.quiet, standardise=args.standardise)
    if args.baseline == 'imagenet':
        options['image_size'] = 224
        return probe_images(make_imagenet_encoder, train, test,
                            ProbeOptions(**options), seeds, True)
    state, record = None, None
    if args.baseline == 'lightly_dino':
        state, record = dino_weights(args, set(test.paths))
    result = probe_images(
        lambda seed: make_vision_transformer(seed, args.pooling, state),
        train, test, ProbeOptions(**options), seeds, state is not None)
    result['pooling'] = args.pooling
    if record is not None:
        result['pretraining'] = record
    return result


def main(argv: Sequence[str] | None = None) -> None:
    """Probe."""
    args = parse_args(argv)
    with plain_refusal('probe_baselines.py'):
        if args.seeds < 1:
            raise ValueError(f'--seeds {args.seeds}: expected at least 1')
        result = probe(args)
        result.update(
            baseline=args.baseline, seed=args.seed, data_root=args.data_root,
            train_list=args.train_list, test_list=args.test_list,
            versions=installed_versions())
        if args.json:
            write_record(args.json, result)
    low, high = result['ci95']
    print(f'{args.baseline}, {result["method"]}: top-1 '
          f'{100 * result["top1"]:.1f} % (95 %: {100 * low:.1f} to '
          f'{100 * high:.1f}), {result["n_train"]} training and '
          f'{result["n_test"]} test images, {result["seconds"]:.1f} s')


if __name__ == '__main__':
    main()
