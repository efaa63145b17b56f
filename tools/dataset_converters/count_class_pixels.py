#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Count the pixels of each class in the labels that a config trains on.

    python tools/dataset_converters/count_class_pixels.py CONFIG \
        class_pixels.json

Then: train_dataloader.sampler.type=mmskysense.RareClassSampler
train_dataloader.sampler.counts=class_pixels.json
"""

import argparse

from mmengine.config import DictAction
from mmengine.registry import DATASETS, init_default_scope

from mmskysense.datasets.class_pixels import write_class_pixels
from mmskysense.engine import check_data_roots
from mmskysense.utils.command_line import plain_refusal
from mmskysense.utils.config import read_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a segmentation task')
    parser.add_argument('out', help='JSON file to write')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction,
        help='overrides of the config as key=value')
    return parser.parse_args()


def main() -> None:
    """Count and print the share of each class."""
    args = parse_args()
    with plain_refusal('count_class_pixels.py'):
        cfg = read_config(args.config, args.cfg_options)
        check_data_roots(cfg, 'train')
        init_default_scope(cfg.get('default_scope', 'mmskysense'))
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        counts = write_class_pixels(dataset, args.out)
    pixels = counts.sum(0)
    for name, count, samples in zip(dataset.metainfo['classes'], pixels,
                                    (counts > 0).sum(0), strict=True):
        print(f'{name}: {count / max(pixels.sum(), 1):.3%} of the labelled '
              f'pixels, in {samples} of {len(counts)} images')


if __name__ == '__main__':
    main()
