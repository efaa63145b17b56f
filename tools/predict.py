#!/usr/bin/env python
# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Make a map: ``python tools/predict.py CONFIG CKPT RASTER --out MAP.tif``."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from mmskysense.apis import (
    MapInferencer,
    MapSummary,
    ObjectInferencer,
    SceneInferencer,
    SeriesInferencer,
)
from mmskysense.apis.host_model import task_of
from mmskysense.apis.input_arguments import (
    INPUT_OPTIONS,
    add_input_arguments,
    input_arguments,
    split_raster,
    split_rasters,
)
from mmskysense.apis.map_outputs import PROBABILITY_TYPES, UNCERTAINTIES
from mmskysense.apis.series_segmentor import series_loader
from mmskysense.raster import check_output
from mmskysense.raster.blend import BLENDS
from mmskysense.raster.inputs import get_reader
from mmskysense.utils import plain_refusal, require, tidy_termination
from mmskysense.utils.config import read_config
from mmskysense.visualization import save_quick_look
from mmskysense.visualization.map_page import check_page_folder, save_map_page


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='A raster of any size into a georeferenced map '
        '(segmentation), a heat map with one pixel a tile (classification), '
        'or objects (detection): what the config\'s model does.')
    parser.add_argument('config', help='of mmseg, mmdet or mmpretrain')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'raster', nargs='+', metavar='RASTER',
        help='the raster, or SENSOR=RASTER; also a folder of bands, a '
        'Sentinel-2 product, a STAC item, an address')
    parser.add_argument(
        '--out', required=True,
        help='the map, a GeoTIFF; of objects .gpkg or .geojson')
    parser.add_argument(
        '--quick-look', metavar='PNG',
        help='picture of raster and map (default: MAP.png; "none" for none)')
    parser.add_argument(
        '--page', metavar='FOLDER',
        help='also write an interactive page: open index.html in it')
    parser.add_argument(
        '--probabilities', metavar='TIF',
        help='also write a band of probability for each class')
    parser.add_argument(
        '--probability-type', choices=PROBABILITY_TYPES,
        help='of --probabilities (default: uint8, steps of 1/254)')
    parser.add_argument(
        '--uncertainty', metavar='TIF',
        help='also write how uncertain each pixel is, 0 to 1')
    parser.add_argument(
        '--measure', choices=list(UNCERTAINTIES),
        help='of --uncertainty: entropy of the probabilities (default), or '
        'their variance over flipped views (with --tta)')
    parser.add_argument(
        '--tta', action='store_true',
        help='mean over four flipped views of each window: four times the '
        'work')
    parser.add_argument(
        '--resume', action='store_true',
        help='go on with what a killed run of the same command has left, '
        'and leave what there is if this one is stopped')
    parser.add_argument(
        '--window', type=int, nargs='+', metavar='PIXELS',
        help='side, or height and width, of what the model sees at once '
        '(default: the size the config tests with)')
    parser.add_argument(
        '--overlap', type=float,
        help='share of a window that its neighbour sees too (default: 0.5)')
    parser.add_argument('--blend', choices=list(BLENDS),
                        help='weights of overlapping windows (default: hann)')
    parser.add_argument(
        '--batch-size', type=batch_size, default=4, metavar='N',
        help="windows at once, or 'auto': measured (default: 4)")
    parser.add_argument(
        '--processes', type=int, metavar='N',
        help='processes over parts of the raster; with --device cuda one a '
        'GPU')
    parser.add_argument(
        '--reading-threads', type=int, default=1, metavar='N',
        help='that read ahead; several for rasters on a server')
    parser.add_argument(
        '--max-memory', type=float, metavar='GIB',
        help='for blending, in each process: wider rasters are made in '
        'strips (default: 0.125)')
    parser.add_argument(
        '--min-score', type=float,
        help='objects below this are left out (default: 0.3)')
    parser.add_argument(
        '--iou', type=float,
        help='of two objects of a class that overlap more than this, the '
        'better one stays (default: 0.5)')
    parser.add_argument('--device', help='cpu, cuda:0, ...')
    parser.add_argument(
        '--amp', action='store_true', help='run the network in bfloat16')
    parser.add_argument(
        '--sensor', help='entry of the sensor table (default: the config\'s)')
    add_input_arguments(parser)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='overrides of the config as key=value')
    return parser.parse_args(argv)


def batch_size(text: str) -> int | str:
    """``'auto'``, or a number."""
    return text if text == 'auto' else int(text)


def closing_line(summary: MapSummary) -> str:
    """What a person wants to know at the end."""
    shares = sorted(
        zip(summary.shares, summary.class_names, strict=True), reverse=True)
    listed = ', '.join(f'{name} {100 * share:.1f} %'
                       for share, name in shares[:8] if share)
    more = sum(1 for share, _ in shares[8:] if share)
    nodata = summary.nodata_pixels / (summary.height * summary.width)
    return (f'{summary.path}: {summary.width} x {summary.height} pixels in '
            f'{summary.seconds:.1f} s; {listed or "no class"}'
            f'{f", {more} more" if more else ""}; nodata {100 * nodata:.1f} %')


def window_of(args: argparse.Namespace) -> tuple[int, int] | None:
    """Height and width of a window, or None for the config's."""
    if args.window is None:
        return None
    if len(args.window) > 2:
        raise ValueError(f'--window {args.window}: expected one number, or '
                         'height and width')
    return args.window[0], args.window[-1]


def whole_batch(args: argparse.Namespace, task: str) -> int:
    """The batch size of tasks that do not measure one."""
    if args.batch_size == 'auto':
        raise ValueError(f'--batch-size auto: expected a number for a model '
                         f'of {task}; measuring is for segmentation')
    return int(args.batch_size)


def refuse(args: argparse.Namespace, task: str, *names: str,
           wanted: str = 'segmentation') -> None:
    """Refuse options that a task does not have: none is ignored silently."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value is not False:
            raise ValueError(f'--{name.replace("_", "-")}: expected with a '
                             f'{wanted} model, found one of {task}; '
                             'leave it out')


# What only a segmentation model has, and only a detector.
OF_MAPS = dict(
    blend='hann', measure='entropy', probability_type='uint8', processes=1,
    max_memory=0.125, uncertainty=None, page=None, tta=False, resume=False,
    quick_look=None)
OF_OBJECTS = dict(min_score=0.3, iou=0.5)


def complete(args: argparse.Namespace, **defaults: Any) -> None:
    """Fill in what was not given."""
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def predict_objects(args: argparse.Namespace, raster: str,
                    sensor: str | None, options: dict[str, Any]) -> str:
    """Objects of a detector; the line that says what was found."""
    refuse(args, 'detection', 'probabilities', *OF_MAPS)
    complete(args, overlap=0.5, **OF_OBJECTS)
    inferencer = ObjectInferencer(
        args.config, args.checkpoint, args.device, sensor, args.amp,
        args.cfg_options)
    summary = inferencer.predict_raster(
        inferencer.inputs(raster, **options), args.out, window_of(args),
        args.overlap, whole_batch(args, 'detection'), args.min_score, args.iou,
        args.reading_threads, progress=True)
    found = ', '.join(f'{count} {name}'
                      for name, count in summary.counts.items() if count)
    return (f'{summary.path}: {found or "no object"} in {summary.windows} '
            f'windows, {summary.seconds:.1f} s')


def predict_scenes(args: argparse.Namespace, raster: str,
                   sensor: str | None, options: dict[str, Any]) -> str:
    """Classes of tiles; the line that says what was found."""
    refuse(args, 'classification', 'overlap', *OF_MAPS)
    refuse(args, 'classification', *OF_OBJECTS, wanted='detection')
    inferencer = SceneInferencer(
        args.config, args.checkpoint, args.device, sensor, args.amp,
        args.cfg_options)
    return closing_line(inferencer.predict_raster(
        inferencer.inputs(raster, **options), args.out, window_of(args),
        whole_batch(args, 'classification'), args.probabilities,
        reading_threads=args.reading_threads, progress=True))


@contextmanager
def beside_the_map(out: str, path: str) -> Iterator[None]:
    """Say what could not be written, and that the map itself is there."""
    try:
        yield
    except OSError as error:
        raise OSError(f'{path}: cannot be written ({error}); the map {out} '
                      'is complete') from error


_OTHER_TASKS = {'detection': predict_objects,
                'classification': predict_scenes}
_TASKS = ('segmentation', *_OTHER_TASKS)


def main(argv: Sequence[str] | None = None) -> None:
    """Predict."""
    args = parse_args(argv)
    options_said = 'overlap', 'window', 'processes', *INPUT_OPTIONS
    with tidy_termination(), plain_refusal('predict.py', options_said):
        config = read_config(args.config, args.cfg_options)
        several = {}
        if task_of(config) == 'segmentation' and series_loader(config):
            several = split_rasters(args.raster)
            if not several:
                raise ValueError(f'{args.raster[0]}: the config takes several '
                                 'sensors; give each as SENSOR=RASTER')
            refuse(args, 'several sensors', 'bands', 'scale', 'offset',
                   'nodata')
            raster, sensor = next(iter(several.values()))[0], args.sensor
        else:
            raster, sensor = split_raster(args.raster, args.sensor)
        check_output(args.out, [raster])
        options = input_arguments(args)
        task = task_of(config)
        if task in _OTHER_TASKS:
            print(_OTHER_TASKS[task](args, raster, sensor, options))
            return
        if task != 'segmentation':
            raise ValueError(f'config {args.config}: expected a model of '
                             f'{", ".join(_TASKS)}, found {task}; features '
                             'of an encoder come from tools/embed.py')
        refuse(args, 'segmentation', *OF_OBJECTS, wanted='detection')
        complete(args, overlap=0.5, **OF_MAPS)
        picture = args.quick_look or os.path.splitext(args.out)[0] + '.png'
        if picture != 'none':
            check_output(picture, [raster])
            if Path(picture).resolve() == Path(args.out).resolve():
                raise ValueError(f'{picture}: the map and its picture need '
                                 'different names; end --out with .tif')
        if args.page is not None:
            check_page_folder(args.page)
            require('js_lib_leaflet', 'the interactive page')
        window = window_of(args)
        kind = SeriesInferencer if several else MapInferencer
        inferencer: Any = kind(
            args.config, args.checkpoint, args.device, sensor, args.amp,
            args.cfg_options)
        inputs = inferencer.inputs(several or raster, **options)
        summary = inferencer.predict_raster(
            inputs, args.out, window, args.overlap, args.batch_size,
            args.blend, args.probabilities, args.uncertainty, args.measure,
            args.tta, args.resume, args.processes, args.reading_threads,
            int(args.max_memory * 2**30), progress=True,
            probability_type=args.probability_type)
        if picture != 'none':
            reader = inferencer.reader(inputs)
            if several:  # the picture is of the first sensor's first day
                first = next(iter(reader.series))
                reader = get_reader(reader.series[first][0], inputs.grid)
            with beside_the_map(args.out, picture):
                save_quick_look(reader, args.out, picture, summary.shares)
        if args.page is not None:
            with beside_the_map(args.out, args.page):
                save_map_page(
                    args.page, args.out,
                    [image for series in inputs.images.values()
                     for image in series],
                    probabilities=args.probabilities,
                    uncertainty=args.uncertainty, shares=summary.shares)
    print(closing_line(summary))


if __name__ == '__main__':
    main()
