#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A model's mIoU beside the majority class's and a linear model's."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from mmskysense.evaluation.pixel_baselines import (
    format_table,
    majority_class,
    pixel_linear,
    score_predictions,
)
from mmskysense.utils import check_file, plain_refusal


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', help='folder with hr_rgb/ and land_cover/')
    parser.add_argument(
        '--predictions', metavar='DIR',
        help='class maps <tile>.png of the test split (test_evaluator.'
        'output_dir of tools/test.py)')
    parser.add_argument('--samples', type=int, default=60_000,
                        help='pixels the linear model is fitted to')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', metavar='FILE', help='also write this')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Score."""
    args = parse_args(argv)
    with plain_refusal('pixel_baselines.py'):
        world = Path(args.data) / 'world.json'
        check_file(str(world), 'world', 'give the folder that '
                   'tools/make_sample_data.py wrote')
        names = json.loads(world.read_text())['land_cover']['classes']
        scores = []
        if args.predictions:
            scores.append(score_predictions(
                args.data, args.predictions, len(names),
                'SkySense V2 tiny + UPerNet'))
        scores.append(pixel_linear(args.data, len(names), seed=args.seed,
                                   samples=args.samples))
        scores.append(majority_class(args.data, len(names)))
        if args.json:
            aside = f'{args.json}.part'
            Path(aside).write_text(json.dumps(dict(
                classes=names, scores=[s.to_dict() for s in scores]),
                indent=1))
            os.replace(aside, args.json)
    print(format_table(scores))


if __name__ == '__main__':
    main()
