# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Time loading and cutting small image tiles, for RGB-only pre-training.

Per tile: reading it from disk, from the cache of decoded tiles, and cutting
2 global views at the tile's size and 4 local ones at half of it. Per batch:
what arrives from two workers, batched by ``collate_views`` and by mmengine's
``pseudo_collate``. Candidates of a group run in turn.

    python tools/benchmarks/tiles.py --data-root $DATA/eurosat_rgb --json out

Without ``--data-root`` (an archive with an index file) it writes 64 px JPEG
tiles of its own into a temporary folder.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader, Subset

from mmskysense.datasets import MultiSensorTileDataset, collate_views
from mmskysense.datasets.index_builder import index_tiles
from mmskysense.datasets.transforms import (
    LoadMultiSensorTile,
    MultiCropViews,
    PackPretrainInputs,
    RadiometricJitter,
)
from mmskysense.utils.benchmark import (
    interleave,
    machine,
    print_medians,
    write_json,
)

SENSORS = ('hr_rgb', )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-root', help='archive of hr_rgb tiles')
    parser.add_argument('--tiles', type=int, default=512,
                        help='tiles a round')
    parser.add_argument('--size', type=int, default=64,
                        help='side of a global view in pixels')
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=5,
                        help='timed rounds, each candidate once a round')
    parser.add_argument('--json', help='where to write all timings')
    return parser.parse_args()


def write_tiles(root: Path, count: int, size: int) -> None:
    """Smooth noise, so that decoding costs what a picture's does."""
    rng = np.random.default_rng(0)
    (root / 'images').mkdir()
    for number in range(count):
        coarse = rng.integers(0, 255, (size // 4, size // 4, 3), np.uint8)
        cv2.imwrite(str(root / f'images/{number:05d}.jpg'),
                    cv2.resize(coarse, (size, size)))
    index_tiles(root, dict(hr_rgb='images'))


def each(work: Callable[[dict], object], samples: list[dict]) -> None:
    """Run a transform on fresh copies of all samples."""
    for sample in samples:
        work(dict(sample))


def drain(loader: DataLoader) -> None:
    """Take every batch."""
    for _ in loader:
        pass


def measure(root: str, args: argparse.Namespace) -> dict[str, dict]:
    """All timings: label -> candidate -> seconds of each round."""
    dataset = MultiSensorTileDataset(data_root=root, sensors=SENSORS)
    chosen = np.random.default_rng(0).permutation(len(dataset))[:args.tiles]
    raw = [dataset.get_data_info(int(number)) for number in chosen]
    cut = MultiCropViews(dict(hr_rgb=(args.size, args.size // 2)))
    cached = LoadMultiSensorTile(SENSORS, cache_bytes=2**30)
    from_disk = LoadMultiSensorTile(SENSORS)
    loaded = [from_disk(dict(sample)) for sample in raw]
    each(cached, raw)
    seconds = {}
    label = f'{len(raw)} tiles'
    seconds[label] = interleave(
        {
            'from disk': partial(each, from_disk, raw),
            'from the cache': partial(each, cached, raw),
            'cut 6 views': partial(each, cut, loaded),
        }, args.rounds, 'cpu', label)
    print_medians(label, seconds[label])
    packing = MultiSensorTileDataset(
        data_root=root, sensors=SENSORS,
        pipeline=[from_disk, cut, RadiometricJitter(), PackPretrainInputs()])
    part = Subset(packing, [int(number) for number in chosen])
    label = f'{len(raw)} tiles in batches of {args.batch} from 2 workers'
    seconds[label] = interleave(
        {
            function.__name__: partial(
                drain,
                DataLoader(part, args.batch, num_workers=2,
                           collate_fn=function, persistent_workers=True))
            for function in (collate_views, pseudo_collate)
        }, args.rounds, 'cpu', label)
    print_medians(label, seconds[label])
    return seconds


def main() -> None:
    """Measure, print a table, write the JSON."""
    args = parse_args()
    torch.set_num_threads(1)
    np.random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        if args.data_root is None:
            write_tiles(Path(folder), args.tiles, args.size)
        seconds = measure(args.data_root or folder, args)
    if args.json:
        write_json(args.json, {
            'machine': machine('cpu'), 'tiles': args.tiles,
            'size': args.size, 'batch': args.batch, 'seconds': seconds})


if __name__ == '__main__':
    main()
