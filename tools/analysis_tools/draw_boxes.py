#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""Draw true and predicted boxes without the imagery, which may not be shown.

::

    python tools/test.py CONFIG CHECKPOINT --out results.pkl
    python tools/analysis_tools/draw_boxes.py results.pkl --out boxes.png

Truth on the left, predictions on the right, a colour for each class; boxes
are horizontal (x1, y1, x2, y2) or turned (x, y, w, h, angle).
"""

import argparse
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mmskysense.datasets.conversion.files import atomic_path
from mmskysense.utils import check_file, plain_refusal

_GAP = 6
# Of Paul Tol's bright scheme: told apart by colour-blind readers, too.
_COLOURS = ((68, 119, 170), (238, 102, 119), (34, 136, 51), (204, 187, 68),
            (102, 204, 238), (170, 51, 119), (120, 120, 120))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', help='what tools/test.py --out wrote')
    parser.add_argument('--out', required=True, help='.png or .jpg')
    parser.add_argument('--number', type=int, default=3,
                        help='of images, those with most true boxes (3)')
    parser.add_argument('--score', type=float, default=0.3,
                        help='least score of a prediction (0.3)')
    parser.add_argument('--width', type=int, default=960,
                        help='of the picture in pixels (960)')
    return parser.parse_args(argv)


def corners_of(boxes: Any) -> np.ndarray:
    """Corners float32 (N, 4, 2) of boxes (N, 4) or (N, 5) in pixels."""
    values = np.asarray(getattr(boxes, 'tensor', boxes), np.float32)
    if values.shape[-1] == 4:
        x1, y1, x2, y2 = values.T
        return np.stack([np.stack(pair, -1) for pair in (
            (x1, y1), (x2, y1), (x2, y2), (x1, y2))], 1)
    return np.stack([cv2.boxPoints(((x, y), (w, h), float(np.degrees(a))))
                     for x, y, w, h, a in values]) if len(values) else \
        np.zeros((0, 4, 2), np.float32)


def draw(instances: Mapping[str, Any], shape: tuple[int, int], side: int,
         score: float) -> np.ndarray:
    """Outlines on white, uint8 (side, side * W / H, 3)."""
    scale = side / shape[0]
    canvas = np.full((side, round(shape[1] * scale), 3), 255, np.uint8)
    scores = np.asarray(instances.get('scores',
                                      np.ones(len(instances['labels']))))
    for corners, label, value in zip(
            corners_of(instances['bboxes']), instances['labels'], scores,
            strict=True):
        if value >= score:
            cv2.polylines(
                canvas, [np.round(corners * scale).astype(np.int32)], True,
                _COLOURS[int(label) % len(_COLOURS)], 1, cv2.LINE_AA)
    return canvas


def main(argv: Sequence[str] | None = None) -> None:
    """Draw."""
    args = parse_args(argv)
    with plain_refusal('draw_boxes.py'):
        check_file(args.results, 'results', 'give what tools/test.py --out '
                   'wrote')
        with open(args.results, 'rb') as file:
            samples = pickle.load(file)
        if not samples or any('pred_instances' not in one or
                              'gt_instances' not in one for one in samples):
            raise ValueError(f'{args.results}: expected samples with true '
                             'and predicted boxes, found others; give the '
                             'results of a detector whose test pipeline '
                             'loads labels')
        samples = sorted(samples, reverse=True, key=lambda one: len(
            one['gt_instances']['labels']))[:args.number]
        side = (args.width - _GAP) // 2
        rows = []
        for one in samples:
            shape = tuple(one['ori_shape'][:2])
            pair = [draw(one[key], shape, side, args.score)
                    for key in ('gt_instances', 'pred_instances')]
            rows.append(np.concatenate(
                [pair[0], np.full((side, _GAP, 3), 160, np.uint8), pair[1]],
                1))
        width = max(row.shape[1] for row in rows)
        sheet = np.concatenate([np.pad(
            row, ((0, _GAP), (0, width - row.shape[1]), (0, 0)),
            constant_values=160) for row in rows])
        with atomic_path(args.out) as partial:
            Image.fromarray(sheet).save(partial)
    print(f'{args.out}: {len(rows)} images')


if __name__ == '__main__':
    main()
