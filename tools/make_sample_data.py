# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Write the procedural sample world: pictures, series and labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmskysense.datasets.sample_world import PRESETS, generate


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out', default='data/sample_world',
                        help='folder to write to')
    parser.add_argument('--preset', choices=sorted(PRESETS), default='demo',
                        help='sizes that the options below override')
    parser.add_argument('--tiles', type=int, nargs=3, default=None,
                        metavar=('TRAIN', 'VAL', 'TEST'),
                        help='number of tiles of each split')
    parser.add_argument('--tile-size', type=float, default=None,
                        metavar='METRES', help='side of a tile')
    parser.add_argument('--scene-size', type=int, default=None,
                        metavar='PIXELS', help='side of the larger scene')
    parser.add_argument('--seed', type=int, default=0,
                        help='the same seed gives the same world')
    parser.add_argument('--workers', type=int, default=1,
                        help='processes')
    parser.add_argument('--force', action='store_true',
                        help='replace what is in the folder')
    parser.add_argument('--quiet', action='store_true',
                        help='no progress bar')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    sizes = dict(PRESETS[args.preset])
    for name in ('tiles', 'tile_size', 'scene_size'):
        if getattr(args, name) is not None:
            sizes[name] = getattr(args, name)
    try:
        root = generate(args.out, seed=args.seed, workers=args.workers,
                        force=args.force, progress=not args.quiet, **sizes)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')
    size = sum(p.stat().st_size for p in root.rglob('*') if p.is_file())
    print(f'wrote {root}: {sum(sizes["tiles"])} tiles, '
          f'{size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
