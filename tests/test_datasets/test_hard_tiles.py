# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Tiles that archives really have, from file to batch."""

import json

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmskysense.datasets import MultiSensorTileDataset
from mmskysense.datasets.transforms import (
    LoadMultiSensorTile,
    LoadTileLabels,
    MultiCropViews,
    PackPretrainInputs,
    RadiometricJitter,
)
from mmskysense.engine.preflight import check_datasets
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.raster.band_contract import RasterContractError
from mmskysense.sensors import get_sensor

SENSORS = ('hr_rgb', 's2_l2a')
BANDS = get_sensor('s2_l2a').band_names


@pytest.fixture
def archive(tmp_path, write_raster):
    """A function that makes a data set of one tile, 80 px and 4 px."""

    def make(optical, measured=1.0, labels=None):
        rng = np.random.default_rng(0)
        rgb = rng.integers(1, 255, (3, 80, 80), dtype=np.uint8)
        rgb[:, :, round(80 * measured):] = 0
        write_raster('hr.tif', rgb, pixel=0.5, nodata=0)
        for n, level in enumerate(optical):
            values = rng.integers(level // 2, level + 1, (10, 4, 4))
            write_raster(f's2_{n}.tif', values.astype(np.uint16), BANDS)
        entry = {'id': 'a', 'split': 'train', 'hr_rgb': 'hr.tif',
                 's2_l2a': [f's2_{n}.tif' for n in range(len(optical))]}
        pipeline = [LoadMultiSensorTile(SENSORS)]
        if labels is not None:
            write_raster('osm.tif', labels[None], pixel=2.0)
            entry['osm'] = 'osm.tif'
            pipeline.append(LoadTileLabels(3))
        (tmp_path / 'index.json').write_text(
            json.dumps({'version': 1, 'tiles': [entry]}))
        pipeline += [
            MultiCropViews(
                dict(hr_rgb=(32, 16), s2_l2a=(8, 4)),
                num_dates=dict(s2_l2a=2),
                label_sizes=None if labels is None else (8, 4)),
            RadiometricJitter(), PackPretrainInputs()]
        return MultiSensorTileDataset(
            data_root=str(tmp_path), sensors=SENSORS, pipeline=pipeline,
            label_key=None if labels is None else 'osm')

    return make


def batch_of(dataset):
    """A batch of one, preprocessed."""
    check_datasets(dataset)
    data = pseudo_collate([dataset[0]])
    inputs = MultiSensorDataPreprocessor(sensors=SENSORS)(data)['inputs']
    for views in inputs.values():
        for name, image in views.images.items():
            assert torch.isfinite(image).all()
            assert not image.masked_select(
                ~views.valid[name].unsqueeze(3)).any()
    return inputs


def test_one_date_only(archive):
    inputs = batch_of(archive([3000]))
    assert inputs['global'].images['s2_l2a'].shape[:3] == (2, 1, 1)
    assert inputs['global'].valid['s2_l2a'].any()


def test_all_dates_masked_by_clouds(archive):
    """A product that sets clouds to nodata; RGB saw the ground."""
    inputs = batch_of(archive([0, 0, 0]))
    assert not inputs['global'].valid['s2_l2a'].any()
    assert inputs['global'].valid['hr_rgb'].all()


def test_95_percent_nodata(archive):
    inputs = batch_of(archive([0], measured=0.05))
    for views in inputs.values():
        seen = views.valid['hr_rgb'].flatten(2).any(2)
        assert seen.float().mean() > 0.7
    with pytest.raises(RasterContractError, match='only nodata'):
        batch_of(archive([0], measured=0.0))


def test_no_pixel_with_a_label(archive):
    inputs = batch_of(archive([3000], labels=np.full((20, 20), 255,
                                                     np.uint8)))
    assert (inputs['global'].labels == 255).all()


def test_wrong_labels_are_found_before_training(archive, write_raster):
    dataset = archive([3000], labels=np.full((20, 20), 3, np.uint8))
    with pytest.raises(RasterContractError, match=r'ids 0\.\.2.*found 3'):
        check_datasets(dataset)
    write_raster('osm.tif', np.zeros((1, 20, 20), np.uint8), pixel=2.0,
                 origin=(500500.0, 5400000.0))
    with pytest.raises(RasterContractError, match='expected the bounds'):
        check_datasets(dataset)
