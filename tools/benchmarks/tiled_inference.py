# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
r"""One network, one raster, one tool: its time, the model's share, its memory.

For comparisons with a tool that lives in an environment of its own: run this
file in each, with the same arguments but ``--tool``. The network has three
convolutions (3x3, 3x3, 1x1; 32 channels, 10 classes), windows have 512 px and
a stride of 448.

    python tools/benchmarks/tiled_inference.py --tool mmskysense --side 2048
    OTHER/python tools/benchmarks/tiled_inference.py --tool terratorch \
        --side 2048

TerraTorch takes a picture in memory and gives scores in memory: reading the
file before and writing the class map after, with rasterio and whole, are
timed with it, as a user would have to. Seconds are of CPU, of all threads of
the process: another job on the machine hardly changes them.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from torch import Tensor, nn

WINDOW, STRIDE, BATCH, CLASSES = 512, 448, 4, 10
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def network() -> nn.Sequential:
    """The same weights in every environment of one torch version."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, CLASSES, 1)).eval()


def write_raster(path: Path, side: int) -> None:
    """Smooth noise, tiled."""
    rng = np.random.default_rng(0)
    tile = rng.integers(1, 255, (3, 128, 128), np.uint8).repeat(
        4, axis=1).repeat(4, axis=2)
    count = -(-side // 512)
    with rasterio.open(
            path, 'w', driver='GTiff', height=side, width=side, count=3,
            dtype='uint8', crs='EPSG:32632', tiled=True, blockxsize=512,
            blockysize=512, compress='deflate',
            transform=from_origin(5e5, 5e6, 0.5, 0.5)) as dataset:
        dataset.write(np.tile(tile, (1, count, count))[:, :side, :side])


def terratorch_run(folder: Path) -> Callable[[], object]:
    """Read, TerraTorch's tiled inference, classes, write."""
    from terratorch.tasks.tiled_inference import tiled_inference
    model = network()
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))

    @torch.inference_mode()
    def run() -> None:
        with rasterio.open(folder / 'scene.tif') as dataset:
            picture = torch.from_numpy(dataset.read())
            profile = dataset.profile
        picture = ((picture.float() - mean) / std)[None]
        scores = tiled_inference(
            model, picture, CLASSES, crop=WINDOW, stride=STRIDE, delta=8,
            batch_size=BATCH, average_patches=True)
        classes = scores[0].argmax(0).to(torch.uint8).numpy()
        profile.update(count=1)
        with rasterio.open(folder / 'map.tif', 'w', **profile) as dataset:
            dataset.write(classes, 1)

    return run


def mmskysense_run(folder: Path) -> Callable[[], object]:
    """The same network as an mmseg segmentor through a map."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from mmskysense.apis import MapInferencer

    class Convolutions(nn.Sequential):
        """The first four layers."""

        def __init__(self) -> None:
            super().__init__(*list(network())[:4])

        def forward(self, x: Tensor) -> tuple[Tensor]:
            return (super().forward(x), )

    MODELS.register_module(module=Convolutions)
    config = Config(dict(
        default_scope='mmseg',
        custom_imports=dict(imports=['mmskysense']),
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='mmskysense.MultiSensorDataPreprocessor',
                sensor='hr_rgb'),
            backbone=dict(type='Convolutions'),
            decode_head=dict(
                type='FCNHead', in_channels=32, channels=32, in_index=0,
                num_convs=0, num_classes=CLASSES, concat_input=False,
                norm_cfg=None, dropout_ratio=0)),
        crop_size=(WINDOW, WINDOW),
        test_pipeline=[dict(type='mmskysense.LoadGeoTIFF',
                            sensor='hr_rgb')]))
    init_default_scope('mmseg')
    model = MODELS.build(config.model)
    last = network()[4]
    model.decode_head.conv_seg.load_state_dict(last.state_dict())
    config.dump(folder / 'config.py')
    names = [f'class {n}' for n in range(CLASSES)]
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(dataset_meta=dict(classes=names))),
               folder / 'weights.pth')
    inferencer = MapInferencer(folder / 'config.py', folder / 'weights.pth',
                               device='cpu')

    def run() -> None:
        inferencer.predict_raster(
            folder / 'scene.tif', folder / 'map.tif', WINDOW,
            1 - STRIDE / WINDOW, BATCH)

    return run


TOOLS = {'mmskysense': mmskysense_run, 'terratorch': terratorch_run}


@torch.inference_mode()
def model_alone(windows: int) -> float:
    """Seconds of the network on so many windows, in the same batches."""
    model, batch = network(), torch.rand(BATCH, 3, WINDOW, WINDOW)
    start = time.process_time()
    for first in range(0, windows, BATCH):
        model(batch[:windows - first])
    return time.process_time() - start


def untiled_difference(folder: Path, side: int) -> float:
    """Share of pixels whose class differs from the untiled one."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    with rasterio.open(folder / 'scene.tif') as dataset:
        picture = ((torch.from_numpy(dataset.read()).float() - mean) /
                   std)[None]
    with torch.inference_mode(), rasterio.open(folder / 'map.tif') as dataset:
        wanted = network()(picture)[0].argmax(0).numpy()
        return float((dataset.read(1) != wanted).mean())


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or 'x').splitlines()[0])
    parser.add_argument('--tool', choices=list(TOOLS), required=True)
    parser.add_argument('--side', type=int, default=2048)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    per_side = -(-(args.side - WINDOW) // STRIDE) + 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_raster(folder / 'scene.tif', args.side)
        run = TOOLS[args.tool](folder)
        run()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds: dict[str, list[float]] = dict(alone=[], whole=[])
        for _ in range(args.rounds):
            seconds['alone'].append(model_alone(per_side**2))
            start = time.process_time()
            run()
            seconds['whole'].append(time.process_time() - start)
        report: dict[str, Any] = dict(
            tool=args.tool, side=args.side, windows=per_side**2,
            torch=torch.__version__, threads=torch.get_num_threads(),
            seconds=seconds,
            share=median(a / b for a, b in zip(
                seconds['alone'], seconds['whole'], strict=True)),
            peak_mib=peak)
        if args.side <= 4096:
            report['differing_pixels'] = untiled_difference(folder, args.side)
    print(json.dumps(report))


if __name__ == '__main__':
    main()
