#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How good are an encoder's frozen features: k-NN or a linear probe."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, DictAction

from mmskysense.evaluation.probing import (
    FEATURES,
    METHODS,
    POOLINGS,
    DenseOptions,
    ImageBatches,
    LabelledImages,
    ProbeOptions,
    build_encoder,
    build_split,
    find_dataset_config,
    installed_versions,
    is_segmentation,
    labelled_images,
    probe_images,
    probe_multi_label,
    probe_segmentation,
    read_image_list,
    write_colour_maps,
    write_record,
)
from mmskysense.registry import MODELS
from mmskysense.utils import check_file, plain_refusal
from mmskysense.utils.config import read_config
from mmskysense.utils.precision import tell_emulated_bfloat16

#: How the figures of a record are called.
FIGURES = dict(top1='top-1', map='mAP')
#: What says nothing when every pixel of a segmentation set is classified.
UNUSED_OF_PIXELS = ('image_size', 'batch_size', 'each', 'standardise',
                    'seeds', 'maps', 'pooling', 'k', 'temperature', 'plain')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config', help='pre-training, downstream or backbone config')
    parser.add_argument(
        'checkpoint', help='checkpoint file, or none for random weights')
    parser.add_argument(
        '--method', choices=METHODS, default='knn',
        help='of a segmentation set: linear, every pixel is classified')
    data = parser.add_argument_group(
        'data: class folders with lists, or a data set of a config')
    data.add_argument('--data-root', metavar='DIR',
                      help='folder of the class folders, or of images/; with '
                      '--dataset its data_root')
    data.add_argument('--train-list', metavar='FILE',
                      help='lines Class/name.jpg')
    data.add_argument('--test-list', metavar='FILE')
    data.add_argument(
        '--dataset', metavar='NAME',
        help="'config' for CONFIG's own, another config file, or a name in "
        '_base_/datasets')
    data.add_argument('--test-split', choices=['test', 'val'],
                      default='test', help='of --dataset')
    encoder = parser.add_argument_group('encoder')
    encoder.add_argument('--branch', choices=['teacher', 'student'],
                         help='of a pre-training checkpoint (teacher)')
    encoder.add_argument('--sensor', help='of the images (the backbone\'s)')
    encoder.add_argument('--features', choices=FEATURES, default='last')
    encoder.add_argument(
        '--pooling', choices=POOLINGS, default='mean',
        help='over places; the deviation beside the mean tells texture')
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
                         help='overrides of CONFIG as key=value')
    judge = parser.add_argument_group('probe')
    judge.add_argument('--k', type=int, default=20, help='of the k-NN')
    judge.add_argument('--temperature', type=float, default=0.07)
    judge.add_argument('--plain', action='store_true',
                       help='k-NN with one vote for each neighbour')
    judge.add_argument('--standardise', action='store_true',
                       help='k-NN of features of mean 0 and deviation 1 (the '
                       'linear probe always does that)')
    judge.add_argument('--pixels', type=int, default=10_000,
                       help='training pixels of a segmentation set')
    judge.add_argument('--fraction', type=float, default=1.0,
                       help='share of the training labels, e.g. 0.01')
    judge.add_argument('--seed', type=int, default=0)
    judge.add_argument('--seeds', type=int, default=1, metavar='NUMBER',
                       help='so many seeds, from --seed on')
    parser.add_argument('--json', metavar='FILE', help='write the result')
    parser.add_argument(
        '--maps', metavar='PNG', help='show dense features of some test '
        'images as colours (not of a segmentation set)')
    parser.add_argument('--quiet', action='store_true',
                        help='no progress bar')
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse arguments that do not go together."""
    if args.checkpoint.lower() == 'none':
        args.checkpoint = 'none'
    else:
        check_file(args.checkpoint, 'checkpoint', 'give a .pth file, or none '
                   'for random weights')
    for name in ('seeds', 'batch_size', 'k', 'pixels', 'image_size'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f'--{name.replace("_", "-")} {value}: expected '
                             'at least 1')
    if not 0 < args.fraction <= 1:
        raise ValueError(f'--fraction {args.fraction}: expected above 0, at '
                         'most 1 (all labels)')
    if args.temperature <= 0:
        raise ValueError(f'--temperature {args.temperature}: expected above '
                         '0; --plain gives every neighbour one vote')
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        raise ValueError(f'--device {args.device}: no GPU found; use cpu')
    if args.maps and args.blocks is not None:
        raise ValueError('--maps shows the last map or all stages: leave '
                         '--blocks out')
    if args.dataset is None:
        for name in ('data_root', 'train_list', 'test_list'):
            if getattr(args, name) is None:
                raise ValueError(f'--{name.replace("_", "-")} is missing: '
                                 'give class folders with two lists, or '
                                 '--dataset')
    if args.dataset and (args.train_list or args.test_list):
        raise ValueError('--dataset has its own lists: leave --train-list '
                         'and --test-list out')
    if args.bfloat16:
        tell_emulated_bfloat16('--bfloat16', args.device)


def probe(args: argparse.Namespace) -> dict[str, Any]:
    """Probe as the command line says."""
    config = read_config(args.config, args.cfg_options)
    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    features = 'blocks' if args.blocks is not None else args.features

    def make_encoder(seed: int) -> Any:
        return build_encoder(config, checkpoint, args.branch, features,
                             args.blocks or (), args.sensor, seed,
                             args.pooling)

    if args.dataset is not None:
        options = {} if args.dataset != 'config' else dict(
            args.cfg_options or {})
        if args.data_root is not None:
            options['data_root'] = args.data_root
        source = find_dataset_config(args.dataset, args.config, options)
        if is_segmentation(source):
            return probe_pixels(args, source, make_encoder)
        train = labelled_images(source, 'train')
        test = labelled_images(source, args.test_split)
    else:
        train = read_image_list(args.data_root, args.train_list)
        test = read_image_list(args.data_root, args.test_list, train.classes)
    judge = probe_multi_label if train.multi_label else probe_images
    result = judge(
        make_encoder, train, test,
        ProbeOptions(
            args.method, args.k, None if args.plain else args.temperature,
            args.fraction, args.image_size, args.batch_size, args.device,
            args.bfloat16, args.each, not args.quiet,
            args.standardise),
        range(args.seed, args.seed + args.seeds),
        same_weights=checkpoint is not None)
    if args.maps:
        draw_maps(args, test, make_encoder)
    return result


def probe_pixels(args: argparse.Namespace, source: Config,
                 make_encoder: Any) -> dict[str, Any]:
    """Probe a segmentation set."""
    if args.method != 'linear':
        raise ValueError('a segmentation set is probed with --method linear')
    default = parse_args([args.config, args.checkpoint])
    for name in UNUSED_OF_PIXELS:
        if getattr(args, name) != getattr(default, name):
            raise ValueError(
                f'--{name.replace("_", "-")} has no effect on a segmentation '
                'set, whose images pass one by one as its test pipeline '
                'leaves them; leave it out')
    train = build_split(source, 'train')
    classes = train.metainfo['classes']
    preprocessor: Mapping[str, Any] = (
        source.get('model', {}).get('data_preprocessor')
        or source.get('data_preprocessor'))
    encoder, _ = make_encoder(args.seed)
    result = probe_segmentation(
        encoder, train, build_split(source, args.test_split),
        MODELS.build(dict(preprocessor)), len(classes),
        DenseOptions(args.pixels, args.fraction, args.device, args.bfloat16,
                     not args.quiet), args.seed)
    return dict(result, classes=list(classes))


def draw_maps(args: argparse.Namespace, test: LabelledImages,
              make_encoder: Any) -> None:
    """Write the colour maps of ten test images."""
    encoder, preprocessor = make_encoder(args.seed)
    some = np.unique(np.linspace(0, len(test) - 1, 10).astype(int))
    write_colour_maps(
        encoder, ImageBatches(test.subset(some), preprocessor,
                              args.image_size),
        preprocessor.sensor, args.maps, args.device)


def main(argv: Sequence[str] | None = None) -> None:
    """Probe."""
    args = parse_args(argv)
    with plain_refusal('probe.py'):
        check_arguments(args)
        result = probe(args)
        unused = UNUSED_OF_PIXELS if 'miou' in result else ()
        result.update(
            {name: value for name, value in vars(args).items()
             if name not in {'each', 'json', 'maps', 'quiet', *result,
                             *unused}},
            features='blocks' if args.blocks is not None else args.features,
            versions=installed_versions())
        if args.json:
            write_record(args.json, result)
    low, high = result['ci95']
    directions = f' in {result["effective_rank"]:.1f} directions' \
        if 'effective_rank' in result else ''
    figure = 'map' if 'map' in result else 'top1'
    print(f'{args.method} {FIGURES[figure]} {100 * result[figure]:.1f} % '
          f'(95 %: {100 * low:.1f} to {100 * high:.1f}), {result["n_train"]} '
          f'training and {result["n_test"]} test images, '
          f'{result["feature_dims"]} features{directions}, '
          f'{result["seconds"]:.1f} s')
    if 'micro_map' in result:
        low, high = result['micro_ci95']
        print(f'micro mAP {100 * result["micro_map"]:.1f} % (95 %: '
              f'{100 * low:.1f} to {100 * high:.1f})')
    if 'miou' in result:
        low, high = result['miou_ci95']
        print(f'mIoU {100 * result["miou"]:.1f} % (95 %: {100 * low:.1f} to '
              f'{100 * high:.1f}); top-1 is of pixels')
    for part in result.get('each', ()):
        low, high = part['ci95']
        print(f'  {part["features"]:10s} {100 * part["top1"]:.1f} % '
              f'({100 * low:.1f} to {100 * high:.1f})')


if __name__ == '__main__':
    main()
