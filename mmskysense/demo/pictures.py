# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Looks into the demo's trained models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from torch import Tensor

from mmskysense.registry import DATASETS, MODELS
from mmskysense.sensors import get_sensor
from mmskysense.visualization.expert_maps import ExpertMap, expert_maps
from mmskysense.visualization.query_maps import query_attention


def read_picture(path: Path) -> np.ndarray:
    """An RGB raster as uint8 (H, W, 3)."""
    with rasterio.open(path) as dataset:
        return dataset.read((1, 2, 3)).transpose(1, 2, 0)


def read_classes(path: Path) -> np.ndarray:
    """The first band of a raster (H, W)."""
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@dataclass(frozen=True)
class PretrainedViews:
    """What the pre-trained teacher makes of a few tiles.

    Args:
        tiles: Names.
        pictures: uint8 (H, W, 3) of each tile.
        attention: float32 (N, m, h, w), sums to 1 over places.
        fused: Fused features (N, D, h, w).
        experts: Choices of the high-resolution tokens.
        dates: Sensor -> number of dates that were fused.
    """

    tiles: list[str]
    pictures: list[np.ndarray]
    attention: Tensor
    fused: Tensor
    experts: list[ExpertMap]
    dates: dict[str, int]


@torch.no_grad()
def look_into_pretraining(config: Path, checkpoint: Path, world: Path,
                          split: str = 'test',
                          count: int = 2) -> PretrainedViews:
    """Run the teacher over whole tiles of all sensors.

    Args:
        config: Config of the pre-training.
        checkpoint: Its last checkpoint.
        world: Folder of the sample world.
        split: Where the tiles are from.
        count: Tiles; those with the most varied land cover are taken.
    """
    cfg = Config.fromfile(config)
    import mmskysense.datasets
    import mmskysense.models  # noqa: F401
    init_default_scope('mmskysense')
    model = MODELS.build(dict(
        cfg.model, data_preprocessor=cfg.data_preprocessor))
    content = torch.load(checkpoint, map_location='cpu', weights_only=False)
    model.load_state_dict(content['state_dict'])
    model.eval()

    dataset = DATASETS.build(dict(
        type='mmskysense.MultiSensorTileDataset', data_root=str(world),
        index='index.json', split=split, sensors=cfg.sensors, pipeline=[]))
    load = Compose([
        dict(type='mmskysense.LoadMultiSensorTile', sensors=cfg.sensors,
             num_dates=dict(hr_rgb=1, s2_l2a=3, s1_grd=2),
             random_dates=False),
        dict(type='mmskysense.PackMultiSensorSegInputs'),
    ])
    chosen = varied_tiles(world, split, count)
    samples, names = [], []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if str(info.get('tile_id')) in chosen:
            samples.append(load(info))
            names.append(str(info['tile_id']))
    batch = model.data_preprocessor(pseudo_collate(samples))
    features = model(**batch, mode='tensor')
    images = batch['inputs']['hr_rgb'][:, 0]
    backbone = model.teacher['backbone']
    return PretrainedViews(
        names,
        [read_picture(world / 'hr_rgb' / split / f'{n}.tif') for n in names],
        query_attention(model, features['fused']), features['fused'].float(),
        expert_maps(backbone, images),
        {s: x.shape[1] for s, x in batch['inputs'].items()})


@torch.no_grad()
def look_into_segmentor(config: Path, checkpoint: Path,
                        picture: np.ndarray) -> tuple[list[ExpertMap], Tensor]:
    """Experts and dense features of the fine-tuned encoder.

    Args:
        config: Config of the fine-tuning.
        checkpoint: Its last checkpoint.
        picture: uint8 (H, W, 3).

    Returns:
        Choices of the experts; features (1, C, h, w) of stage 3.
    """
    cfg = Config.fromfile(config)
    import mmskysense.models  # noqa: F401
    backbone: Any = MODELS.build(dict(
        cfg.model.backbone, type='mmskysense.SkySenseV2', init_cfg=None))
    content = torch.load(checkpoint, map_location='cpu', weights_only=False)
    state = {
        key.removeprefix('backbone.'): value
        for key, value in content['state_dict'].items()
        if key.startswith('backbone.')
    }
    backbone.load_state_dict(state)
    backbone.eval()
    sensor = get_sensor('hr_rgb')
    mean, std = torch.tensor(sensor.mean), torch.tensor(sensor.std)
    image = ((torch.from_numpy(picture.copy()).float() - mean) / std
             ).permute(2, 0, 1)[None]
    return expert_maps(backbone, image), backbone(image)[2].float()


def varied_tiles(world: Path, split: str, count: int) -> list[str]:
    """Names of the tiles with the most even mixture of classes."""
    scored = []
    for path in sorted((world / 'land_cover' / split).glob('*.tif')):
        classes = read_classes(path)
        share = np.bincount(classes[classes != 255], minlength=7)
        share = share[share > 0] / share.sum()
        scored.append((float(-(share * np.log(share)).sum()), path.stem))
    return sorted(name for _, name in sorted(scored, reverse=True)[:count])
