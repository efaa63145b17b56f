# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What every test shares: fixed seeds, one thread, one sample world."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

# Test workers run side by side: threads that compete make all of them slower.
os.environ.setdefault('OMP_NUM_THREADS', '1')
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Make every test independent of which tests ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def fresh_default_scope():
    """Forget mmengine's scopes and visualizers after each test.

    A visualizer of the same name would write into an earlier run's folder.
    """
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer
    before = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
    kinds = [Visualizer]
    for kind in kinds:
        kinds += kind.__subclasses__()
        kind._instance_dict.clear()


@pytest.fixture(scope='session')
def sample_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny generated world; read it, never write into it."""
    from mmskysense.datasets.sample_world import generate

    # Parallel workers have a folder each in a common one: the first to come
    # generates, the others wait for it.
    base = tmp_path_factory.getbasetemp()
    parallel = 'PYTEST_XDIST_WORKER' in os.environ
    shared = base.parent if parallel else base
    root = shared / 'sample_world'
    with FileLock(str(root) + '.lock'):
        if not root.exists():
            generate(
                root,
                tiles=(6, 2, 2),
                tile_size=160.0,
                scene_size=512,
                seed=0,
                progress=False)
    return root


@pytest.fixture
def write_raster(tmp_path: Path):
    """A function that writes (C, H, W) as a GeoTIFF and returns its path."""
    import rasterio
    from rasterio.transform import from_origin

    def write(name, values, descriptions=None, nodata=None, mask=None,
              crs='EPSG:32631', pixel=10.0, origin=(500000.0, 5400000.0),
              **profile):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        count, height, width = values.shape
        with rasterio.open(
                path, 'w', driver='GTiff', count=count, height=height,
                width=width, dtype=values.dtype, crs=crs, nodata=nodata,
                transform=from_origin(*origin, pixel, pixel),
                **profile) as file:
            file.write(values)
            if descriptions is not None:
                file.descriptions = descriptions
            if mask is not None:
                file.write_mask(mask)
        return str(path)

    return write
