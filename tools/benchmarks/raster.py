# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Time and memory of maps: what reading, blending and writing add to a model.

Speed: windows a second of the model alone on windows in memory, of the whole
way from file to file, and of mmseg's own sliding window on the same picture
in memory, in turn; and of mmseg's inferencer for remote sensing, where GDAL's
own Python binding (``osgeo``) can be imported. Memory: the largest of a
process of its own for each side of a raster, with one 1x1 convolution as the
model.

    python tools/benchmarks/raster.py --json out.json
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rasterio
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rasterio.transform import from_origin
from rasterio.windows import Window

from mmskysense.apis import MapInferencer
from mmskysense.raster import RasterReader, WindowGrid, WindowSource
from mmskysense.utils.benchmark import (
    interleave,
    machine,
    print_medians,
    write_json,
)
from mmskysense.utils.config import read_config

ROOT = Path(__file__).parents[2]
CLOCKS: dict[str, Callable[[], float]] = dict(
    wall=time.perf_counter, process=time.process_time)
MODEL = ROOT / 'configs/segmentation' / \
    'skysense_v2_tiny_upernet_1xb4-2k_sample-world-256x256.py'
CHEAP = '''
default_scope = 'mmseg'
custom_imports = dict(imports=['mmskysense'], allow_failed_imports=False)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='mmskysense.MultiSensorDataPreprocessor', sensor='hr_rgb'),
    backbone=dict(type='PixelsThemselves'),
    decode_head=dict(
        type='FCNHead', in_channels=3, in_index=0, channels=3, num_convs=0,
        num_classes=10, concat_input=False, norm_cfg=None))
crop_size = (512, 512)
test_pipeline = [dict(type='mmskysense.LoadGeoTIFF', sensor='hr_rgb')]
'''


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, default=1024,
                        help='side of the raster that is timed, in pixels')
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--rounds', type=int, default=5,
                        help='of the timing; 0 leaves it out')
    parser.add_argument('--sides', type=int, nargs='*',
                        default=[2048, 8192, 32768],
                        help='of the rasters whose memory is measured; '
                        'without a number this is left out')
    parser.add_argument('--max-memory', type=int, metavar='MIB',
                        help='for blending, and as much again for blocks '
                        'that GDAL keeps, where memory is measured '
                        "(default: predict.py's own limits)")
    parser.add_argument(
        '--clock', choices=list(CLOCKS), default='wall',
        help="'process': seconds of CPU of all threads, for a machine that "
        'has other work too (default: wall)')
    parser.add_argument('--json', help='where to write all figures')
    parser.add_argument('--memory-of', nargs=2, metavar=('FOLDER', 'SIDE'),
                        help=argparse.SUPPRESS)  # the process of its own
    return parser.parse_args()


def write_raster(path: Path, side: int, sparse: bool = False) -> None:
    """Smooth noise in tiles of 512; sparse: a few tiles, the rest empty."""
    rng = np.random.default_rng(0)
    tile = rng.integers(1, 255, (3, 128, 128), np.uint8).repeat(
        4, axis=1).repeat(4, axis=2)
    with rasterio.open(
            path, 'w', driver='GTiff', height=side, width=side, count=3,
            dtype='uint8', crs='EPSG:32632', tiled=True, blockxsize=512,
            blockysize=512, compress='deflate', sparse_ok=True,
            transform=from_origin(5e5, 5e6, 0.5, 0.5)) as dataset:
        # Without a nodata value an empty tile is black, and is mapped.
        step = 512 * (8 if sparse else 1)
        for row in range(0, side, step):
            for column in range(0, side, step):
                size = (min(512, side - row), min(512, side - column))
                dataset.write(tile[:, :size[0], :size[1]],
                              window=Window(column, row, size[1], size[0]))


def register_backbone() -> None:
    """A backbone that does nothing, for the model without a cost."""
    from mmseg.registry import MODELS

    class PixelsThemselves(torch.nn.Module):

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
            return (pixels, )

    MODELS.register_module(name='PixelsThemselves', module=PixelsThemselves)


def write_model(folder: Path, name: str, config: Config) -> tuple[Path, Path]:
    """Random weights of a config; paths of both."""
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    paths = folder / f'{name}.py', folder / f'{name}.pth'
    config.dump(paths[0])
    classes = [f'class {n}' for n in range(model.out_channels)]
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(dataset_meta=dict(classes=classes))), paths[1])
    return paths


def time_speed(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the model alone, of the whole way, and of mmseg's."""
    write_raster(folder / 'scene.tif', args.size)
    paths = write_model(folder, 'tiny', read_config(str(MODEL), {}))
    inferencer = MapInferencer(*paths, device='cpu')
    reader = RasterReader(folder / 'scene.tif', 'hr_rgb')
    grid = WindowGrid(args.size, args.size, (256, 256), (128, 128))
    windows = list(WindowSource(reader, list(grid)))
    scorer = inferencer.scorer()

    def alone() -> None:
        for first in range(0, len(windows), args.batch):
            some = windows[first:first + args.batch]
            scorer([w.image for w in some if w.image is not None],
                   [w.valid for w in some])

    def file_to_file() -> None:
        inferencer.predict_raster(folder / 'scene.tif', folder / 'map.tif',
                                  batch_size=args.batch)

    model = inferencer.segmentor.model
    picture = torch.from_numpy(reader.read()[0])
    size = (args.size, args.size)

    @torch.inference_mode()
    def sliding_window() -> None:
        # One window at a time: mmseg has no option for more.
        model.test_cfg.update(mode='slide', crop_size=(256, 256),
                              stride=(128, 128))
        data = model.data_preprocessor(dict(inputs=[picture]), False)
        model.slide_inference(data['inputs'], [dict(
            img_shape=size, ori_shape=size, pad_shape=size,
            padding_size=[0, 0, 0, 0])]).argmax(1)
        model.test_cfg.update(mode='whole')

    label = f'{len(grid)} windows of 256 px, {args.size} px a side'
    sides: dict[str, Callable[[], None]] = {
        'model alone': alone, 'file to file': file_to_file,
        "mmseg's sliding window": sliding_window}
    theirs = mmseg_inferencer(inferencer, folder)
    if theirs is not None:
        sides["mmseg's remote-sensing inferencer"] = theirs
    seconds = interleave(sides, args.rounds, 'cpu', label,
                         CLOCKS[args.clock])
    print_medians(label, seconds)
    # Both of a pair ran next to each other.
    share = median(a / b for a, b in zip(
        seconds['model alone'], seconds['file to file'], strict=True))
    print(f'  model\'s share of the whole way: {share:.3f}')
    return dict(windows=len(grid), batch=args.batch, clock=args.clock,
                seconds=seconds,
                share=share)


def mmseg_inferencer(inferencer: MapInferencer,
                     folder: Path) -> Callable[[], None] | None:
    """mmseg's ``RSInferencer`` on the same file and windows, file to file.

    It writes no georeferenced map without GDAL's binding, and does not run.
    """
    from mmseg.apis import RSImage, RSInferencer
    try:
        importlib.import_module('osgeo.gdal_array')
    except ImportError as error:
        print(f"  mmseg's remote-sensing inferencer is left out: {error}")
        return None
    model = inferencer.segmentor.model
    # It asks the model for a config whose pipeline takes arrays.
    model.cfg = Config(dict(
        default_scope='mmseg',
        test_dataloader=dict(dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmseg.PackSegInputs')])),
        test_pipeline=[dict(type='LoadImageFromFile'),
                       dict(type='mmseg.PackSegInputs')]))

    def run() -> None:
        RSInferencer(model).run(
            RSImage(str(folder / 'scene.tif')), (256, 256), (128, 128),
            str(folder / 'mmseg.tif'))

    return run


def memory_of(folder: Path, side: int, max_memory: int | None) -> None:
    """Map a raster, and print this process' largest memory in MiB."""
    register_backbone()
    inferencer = MapInferencer(folder / 'cheap.py', folder / 'cheap.pth',
                               device='cpu')
    limits: dict[str, Any] = {} if max_memory is None else dict(
        max_memory=max_memory << 20)
    summary = inferencer.predict_raster(
        folder / f'{side}.tif', folder / f'{side}_map.tif', overlap=0.125,
        batch_size=4, **limits)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(side=side, peak_mib=peak,
                          seconds=summary.seconds,
                          windows=summary.windows)))


def measure_memory(folder: Path, sides: list[int],
                   max_memory: int | None) -> list[dict[str, Any]]:
    """Each side in a process of its own."""
    register_backbone()
    config = Config.fromstring(CHEAP, '.py')
    write_model(folder, 'cheap', config)
    found = []
    for side in sides:
        write_raster(folder / f'{side}.tif', side, sparse=True)
        limit = [] if max_memory is None else [
            '--max-memory', str(max_memory)]
        environment = dict(os.environ)
        environment.pop('GDAL_CACHEMAX', None)
        if max_memory is not None:
            environment['GDAL_CACHEMAX'] = str(max_memory)
        output = subprocess.run(
            [sys.executable, __file__, '--memory-of', str(folder),
             str(side), *limit], check=True, capture_output=True, text=True,
            env=environment).stdout
        found.append(dict(json.loads(output.splitlines()[-1]),
                          max_memory_mib=max_memory))
        print('  {side:6d} px a side: peak {peak_mib:8.0f} MiB, '
              '{seconds:7.1f} s, {windows} windows'.format(**found[-1]),
              flush=True)
        for path in folder.glob(f'{side}*.tif'):
            path.unlink()
    return found


def main() -> None:
    """Measure, print, write the JSON."""
    args = parse_args()
    if args.memory_of:
        memory_of(Path(args.memory_of[0]), int(args.memory_of[1]),
                  args.max_memory)
        return
    with tempfile.TemporaryDirectory() as name:
        report: dict[str, Any] = dict(machine=machine('cpu'))
        if args.rounds:
            report['speed'] = time_speed(Path(name), args)
        if args.sides:
            report['memory'] = measure_memory(Path(name), args.sides,
                                              args.max_memory)
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    main()
