# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Making the downstream configs small enough for tests."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from mmengine.config import Config, ConfigDict

ROOT = Path(__file__).parents[2]
# Those on the sample world and on flood chips; configs of published datasets
# are run on miniatures of these, in tests/test_datasets.
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for task in ('segmentation', 'classification', 'detection')
    for path in (ROOT / 'configs' / task).glob('*.py')
    if 'sample-world' in path.name or '_flood-' in path.name)


def transforms(cfg: Config) -> Iterator[ConfigDict]:
    """All transforms of the three data loaders."""
    for phase in ('train', 'val', 'test'):
        yield from cfg[f'{phase}_dataloader'].dataset.pipeline


def shrink(name: str, data_root: Path, work_dir: Path,
           iterations: int = 3) -> Config:
    """The config on other data, with smaller images and fewer iterations."""
    cfg = Config.fromfile(str(ROOT / name))
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.num_workers, loader.persistent_workers = 0, False
        loader.dataset.data_root = str(data_root)
    for transform in transforms(cfg):
        if transform.type in ('RandomResize', 'Resize'):
            transform.scale = (96, 96)
        elif transform.type == 'RandomCrop':
            transform.crop_size = (64, 64)
    if 'size' in cfg.model.data_preprocessor:
        cfg.model.data_preprocessor.size = (64, 64)
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    # The schedule of the config is for thousands of iterations.
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    # mmengine keeps one visualizer a name and process, with its folder.
    cfg.visualizer.name = str(work_dir)
    cfg.work_dir = str(work_dir)
    return cfg


def write_flood_chips(root: Path, size: int = 64) -> Path:
    """Two chips in two published layouts, with missing pixels."""
    generator = np.random.default_rng(0)
    for chip in ('Spain_1', 'Spain_2'):
        water = (np.indices((size, size)).sum(0) > size).astype('int16')
        s1 = -10 - 10 * water + generator.normal(0, 1, (2, size, size))
        s2 = 2500 - 2000 * water + generator.normal(0, 99, (13, size, size))
        s1[:, :4], water[-4:] = np.nan, -1
        for folder, values, kind in (('S1Hand', s1, 'float32'),
                                     ('S2Hand', s2, 'int16'),
                                     ('LabelHand', water[None], 'int16')):
            path = root / folder / f'{chip}_{folder}.tif'
            path.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(
                    path, 'w', driver='GTiff', count=len(values), width=size,
                    height=size, dtype=kind, crs='EPSG:32630',
                    transform=rasterio.Affine(10, 0, 3e5, 0, -10, 4e6),
            ) as file:
                file.write(values.astype(kind))
        # And as the STAC Overflow samples are laid out.
        for published, plain in (('S1Hand', 'S1'), ('LabelHand', 'label')):
            path = root / plain / f'{chip}.tif'
            path.parent.mkdir(exist_ok=True)
            path.hardlink_to(root / published / f'{chip}_{published}.tif')
    (root / 'splits').mkdir()
    for split in ('train', 'valid', 'test'):
        (root / 'splits' / f'flood_{split}_data.csv').write_text(
            'Spain_1_S1Hand.tif,Spain_1_LabelHand.tif\n'
            'Spain_2_S1Hand.tif,Spain_2_LabelHand.tif\n')
    return root
