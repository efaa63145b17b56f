#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From nothing to a georeferenced map and a report: ``make demo``.

Every step is a command of this repository, which is printed and can be
repeated by hand. A step that is done is not done again.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A clone works without being installed.
sys.path.insert(0, str(ROOT))

from mmskysense.demo import Line, StepFailed, demo_line  # noqa: E402
from mmskysense.demo.line import FAST, FULL  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n', 1)[1],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--work-dir', type=Path,
                        default=Path('work_dirs/demo'),
                        help='where everything is written')
    parser.add_argument('--fast', action='store_true',
                        help='a tiny world and two iterations: shows that '
                        'every step runs, learns nothing')
    parser.add_argument('--seed', type=int, default=0,
                        help='of the world and of the trainings')
    parser.add_argument('--encoder', type=Path, metavar='FILE',
                        help='fine-tune from this encoder, such as the one '
                        'in weights/, in place of the one pre-trained here')
    parser.add_argument('--force', action='store_true',
                        help='run every step, also those that are done')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the line; 0, or 1 when a step failed."""
    args = parse_args(argv)
    start = time.perf_counter()
    # Commands run in the repository, so that a relative path stays short.
    if Path.cwd() != ROOT:
        args.work_dir = args.work_dir.resolve()
        args.encoder = args.encoder and args.encoder.resolve()
    size = FAST if args.fast else FULL
    if args.seed < 0:
        print(f'demo.py: error: --seed {args.seed}: expected 0 or more',
              file=sys.stderr)
        return 1
    if args.encoder is not None and not args.encoder.is_file():
        print(f'demo.py: error: --encoder {args.encoder}: expected a file of '
              'tools/model_converters/pretrain_to_backbone.py, found nothing',
              file=sys.stderr)
        return 1
    if not args.fast:
        print('About 7 minutes on two idle cores, under 4 GiB of memory. '
              'Steps that are done are not run again.')
    try:
        line = Line(args.work_dir / 'steps', ROOT,
                    lambda text: print(text, flush=True), args.force)
        line.run(demo_line(ROOT, args.work_dir, size, args.seed,
                           args.encoder))
    except (StepFailed, OSError) as error:
        print(f'demo.py: error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\ndemo.py: stopped; the same command continues with the step '
              'that was running', file=sys.stderr)
        return 130
    close(args.work_dir, time.perf_counter() - start)
    return 0


def close(work_dir: Path, seconds: float) -> None:
    """Print what a person wants to know at the end."""
    scores = json.loads((work_dir / 'scores.json').read_text())['scores']
    print(f'\nDone in {seconds / 60:.1f} minutes. mIoU on test tiles:')
    for score in scores:
        print(f"  {100 * score['mean_iou']:5.1f} %  {score['name']}")
    for what, name in (('map', 'map.tif'), ('quick-look', 'map.png'),
                       ('picture', 'comparison.png'),
                       ('report', 'report.html')):
        print(f'{what + ":":12}{work_dir / name}')
    print('Your own commands, in the same environment: '
          'source .venv/bin/activate')


if __name__ == '__main__':
    sys.exit(main())
