# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmskysense.datasets import MultiSensorTileDataset, collate_views
from mmskysense.datasets.transforms import (
    LoadMultiSensorTile,
    LoadTileLabels,
    MultiCropViews,
    PackPretrainInputs,
)
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')


@pytest.fixture
def tiles(sample_world):
    def make(**options):
        return MultiSensorTileDataset(
            data_root=str(sample_world), split='train', label_key='osm',
            pipeline=[
                LoadMultiSensorTile(SENSORS), LoadTileLabels(10),
                MultiCropViews(
                    dict(hr_rgb=(32, 16), s2_l2a=(8, 4), s1_grd=(8, 4)),
                    label_sizes=(8, 4), **options),
                PackPretrainInputs()])
    return make


def tensors_of(thing):
    if isinstance(thing, torch.Tensor):
        return [thing]
    if hasattr(thing, '__dataclass_fields__'):
        thing = vars(thing)
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, (list, tuple)):
        return [t for part in thing for t in tensors_of(part)]
    return []


@pytest.mark.parametrize('local_views', [0, 3])
def test_the_model_sees_what_it_saw(tiles, local_views):
    dataset = tiles(local_views=local_views)
    samples = [dataset[n] for n in range(4)]
    process = MultiSensorDataPreprocessor(sensors=SENSORS)
    wanted = process(pseudo_collate(samples))
    packed = collate_views(samples)
    found = process(packed)
    for kind in ('global', 'local'):
        one, other = wanted['inputs'][kind], found['inputs'][kind]
        if not local_views and kind == 'local':
            assert one is None and other is None
            continue
        pairs = list(zip(tensors_of(one), tensors_of(other), strict=True))
        assert len(pairs) == 3 * len(SENSORS) + 4
        for a, b in pairs:
            assert a.dtype == b.dtype
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    assert [s.tile_id for s in found['data_samples']] == [
        s.tile_id for s in wanted['data_samples']]
    # However large the batch.
    assert len(tensors_of(packed['inputs'])) == len(
        tensors_of(collate_views(samples[:1])['inputs'])) <= 26


@pytest.mark.parametrize('workers', [0, 1])
def test_runs_as_a_config_names_it(tiles, workers):
    init_default_scope('mmskysense')
    loader = Runner.build_dataloader(ConfigDict(
        dataset=tiles(), batch_size=2, num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='mmskysense.collate_views')))
    batch = next(iter(loader))
    views = batch['inputs']['local']
    assert views.images['hr_rgb'].shape[:2] == (4, 2)
    assert views.labels.dtype == torch.int64
    assert len(batch['data_samples']) == 2
