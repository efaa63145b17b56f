# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Steps in a map at the borders of windows, against steps elsewhere.

A step is the mean absolute difference of the logits of two neighbouring
pixels across a line of the image. Lines at which a window starts or ends are
compared with the lines of the same phase in the encoder's coarsest grid (32
px) inside windows: an encoder has steps of its own there.

    python tools/benchmarks/seams.py CONFIG CHECKPOINT RASTER --json out.json
"""

import argparse
from typing import Any

import numpy as np

from mmskysense.apis import MapInferencer
from mmskysense.raster import (
    RasterReader,
    StreamingBlender,
    WindowGrid,
    WindowSource,
)
from mmskysense.utils.benchmark import write_json

PHASE = 32


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('raster')
    parser.add_argument('--window', type=int, default=256)
    parser.add_argument('--side', type=int, default=768,
                        help='only so much of the raster, in pixels')
    parser.add_argument('--bands', type=int, nargs='*',
                        help='numbers of the sensor\'s bands')
    parser.add_argument('--json', help='where to write the figures')
    return parser.parse_args()


def blended_logits(inferencer: MapInferencer, reader: RasterReader,
                   grid: WindowGrid, blend: str) -> np.ndarray:
    """The logits of a map, float32 (C, H, W)."""
    scorer = inferencer.scorer()
    blender = StreamingBlender(grid, scorer.num_channels, blend)
    rows = []
    for window in WindowSource(reader, list(grid), inferencer.contract.fill):
        score = None if window.image is None else scorer(
            [window.image], [window.valid])[0]
        rows += [done.scores.copy() for done in blender.add(
            window.place, score, window.valid)]
    rows += [done.scores.copy() for done in blender.finish()]
    return np.concatenate(rows, axis=1)


def steps(logits: np.ndarray, grid: WindowGrid) -> dict[str, Any]:
    """Mean step at borders of windows, and at other lines of their phase."""
    found: dict[str, list[float]] = dict(border=[], inside=[])
    for axis, starts, size in ((1, grid.rows, grid.height),
                               (2, grid.columns, grid.width)):
        each = np.abs(np.diff(logits, axis=axis)).mean(
            axis=tuple({0, 1, 2} - {axis}))
        borders = {line for start in starts
                   for line in (start, start + grid.window[axis - 1])}
        for line in range(PHASE, size, PHASE):
            found['border' if line in borders else 'inside'].append(
                float(each[line - 1]))
    border, inside = (float(np.mean(found[name]))
                      for name in ('border', 'inside'))
    # Lines differ among themselves: a border is visible if it stands out.
    larger = float(np.mean(np.array(found['inside']) >= border))
    return dict(border=border, inside=inside, ratio=border / inside,
                inside_deviation=float(np.std(found['inside'])),
                inside_lines_at_least_as_large=larger,
                lines={name: len(values) for name, values in found.items()})


def main() -> None:
    """Measure and print."""
    args = parse_args()
    inferencer = MapInferencer(args.config, args.checkpoint, device='cpu')
    reader = RasterReader(args.raster, 'hr_rgb', bands=args.bands)
    height, width = (min(args.side, length) for length in reader.shape)
    report = []
    for overlap, blend in ((0.0, 'mean'), (0.5, 'mean'), (0.5, 'linear'),
                           (0.5, 'hann')):
        pixels = int(overlap * args.window)
        grid = WindowGrid(height, width, (args.window, ) * 2, (pixels, ) * 2)
        row = dict(overlap=overlap, blend=blend, **steps(
            blended_logits(inferencer, reader, grid, blend), grid))
        print('overlap {overlap}, {blend:6s}: step at borders {border:.4f}, '
              'inside {inside:.4f} +- {inside_deviation:.4f}, ratio '
              '{ratio:.2f}'.format(**row),
              flush=True)
        report.append(row)
    if args.json:
        write_json(args.json, dict(rows=report))


if __name__ == '__main__':
    main()
