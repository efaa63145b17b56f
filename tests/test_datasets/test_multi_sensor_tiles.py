# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mmskysense.datasets import MultiSensorTileDataset
from mmskysense.raster.band_contract import RasterContractError

SENSORS = ('hr_rgb', 's2_l2a', 's1_grd')
PIPELINE = [
    dict(type='LoadMultiSensorTile', sensors=SENSORS,
         num_dates=dict(s2_l2a=3, s1_grd=2)),
    dict(type='MultiCropViews', local_views=2,
         sizes=dict(hr_rgb=(64, 32), s2_l2a=(8, 4), s1_grd=(8, 4))),
    dict(type='RadiometricJitter'),
    dict(type='PackPretrainInputs'),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmskysense')


def archive(tmp_path, tiles=({}, ), text=None):
    """An index with empty raster files, for checks that open none."""
    entries = []
    for n, extra in enumerate(tiles):
        name = f'hr/{n}.tif'
        (tmp_path / 'hr').mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'II*\0')
        entries.append({'id': str(n), 'split': 'train', 'hr_rgb': [name],
                        **extra})
    content = json.dumps({'version': 1, 'tiles': entries})
    (tmp_path / 'index.json').write_text(text or content)
    return str(tmp_path)


def test_sample_world_tiles(sample_world):
    dataset = MultiSensorTileDataset(
        data_root=str(sample_world), split='train', check_files='open',
        pipeline=[])
    assert len(dataset) == 6
    sample = dataset[0]
    assert set(sample['paths']) == set(sample['acquired']) == set(SENSORS)
    assert len(sample['paths']['s2_l2a']) == len(sample['acquired']['s2_l2a'])
    both = MultiSensorTileDataset(
        data_root=str(sample_world), split=('val', 'test'))
    assert len(both) == 4
    assert len(MultiSensorTileDataset(data_root=str(sample_world))) == 10


def test_workers_read_the_world(sample_world):
    dataset = MultiSensorTileDataset(
        data_root=str(sample_world), split='train', pipeline=PIPELINE)
    dataset[0]  # opens files in this process, before the workers fork
    loader = DataLoader(dataset, batch_size=3, num_workers=2,
                        collate_fn=pseudo_collate,
                        multiprocessing_context='fork')
    batches = list(loader)
    assert len(batches) == 2
    view = batches[0]['inputs']['global'][0]
    assert len(view['images']['hr_rgb']) == 3
    assert view['images']['s2_l2a'][0].shape[1:] == (10, 8, 8)
    assert torch.isfinite(view['images']['s1_grd'][0]).all()


def test_views_agree_with_the_world(sample_world):
    """A view of the whole tile shows what the file holds."""
    from mmskysense.datasets.transforms import (
        LoadMultiSensorTile,
        MultiCropViews,
    )
    from mmskysense.raster import RasterReader
    sample = MultiSensorTileDataset(
        data_root=str(sample_world), sensors=('hr_rgb', ))[0]
    results = LoadMultiSensorTile(('hr_rgb', )).transform(sample)
    view = MultiCropViews(dict(hr_rgb=(80, 40))).cut(
        results, 0, (0, 0, 1, 1), (True, False))
    values, _ = RasterReader(sample['paths']['hr_rgb'][0], 'hr_rgb').read()
    pooled = values.reshape(3, 80, 4, 80, 4).mean((2, 4))[..., ::-1]
    found = view['images']['hr_rgb'][0]
    # Bilinear between pixels, so nearly but not exactly the block mean.
    assert np.corrcoef(found.ravel(), pooled.ravel())[0, 1] > 0.99


def test_names_first_missing_file_and_how_many(sample_world, tmp_path):
    root = tmp_path / 'copy'
    shutil.copytree(sample_world, root)
    victims = sorted((root / 's2_l2a' / 'train').rglob('*.tif'))[:3]
    for victim in victims:
        victim.unlink()
    with pytest.raises(FileNotFoundError, match=r'\(3 of \d+ files') as error:
        MultiSensorTileDataset(data_root=str(root), split='train')
    assert str(victims[0]) in str(error.value)
    # Nothing is missing in the other splits, nor for the other sensors.
    MultiSensorTileDataset(data_root=str(root), split='val')
    MultiSensorTileDataset(data_root=str(root), sensors=('hr_rgb', ))
    MultiSensorTileDataset(data_root=str(root), check_files=False)


@pytest.mark.parametrize('text, words', [
    ('{"version": 1,\n "tiles": [}', 'index.json, line 2, column'),
    ('[]', 'another structure'),
    ('{"version": 9, "tiles": []}', 'another structure'),
    ('{"version": 1, "tiles": [{"split": "train"}]}', r'tiles\[0\]'),
    ('{"version": 1, "tiles": []}', 'found 0 tiles'),
])
def test_refuses_malformed_index(tmp_path, text, words):
    with pytest.raises(ValueError, match=words) as error:
        MultiSensorTileDataset(data_root=archive(tmp_path, text=text))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('extra, options, words', [
    ({}, dict(split='test'), r"splits \['train'\]"),
    ({}, dict(sensors=('s2_l2a', )), "tile '0' has no file of s2_l2a"),
    ({'hr_rgb_dates': []}, {}, None),
    ({'hr_rgb_dates': ['2023-01-01'] * 2}, {}, '1 files.*2 dates'),
    ({}, dict(check_files='maybe'), 'check_files'),
])
def test_refuses_contradictory_index(tmp_path, extra, options, words):
    root = archive(tmp_path, [extra])
    if words is None:
        assert len(MultiSensorTileDataset(data_root=root, **options)) == 1
        return
    with pytest.raises(ValueError, match=words):
        MultiSensorTileDataset(data_root=root, **options)


def test_no_index(tmp_path):
    with pytest.raises(FileNotFoundError, match='build_index.py'):
        MultiSensorTileDataset(data_root=str(tmp_path))


def test_looks_into_files_before_training(tmp_path, write_raster):
    root = archive(tmp_path)
    MultiSensorTileDataset(data_root=root)
    with pytest.raises(RasterContractError, match='GDAL can open'):
        MultiSensorTileDataset(data_root=root, check_files='open')
    (tmp_path / 'hr' / '0.tif').unlink()
    write_raster('hr/0.tif', np.ones((3, 4, 4), np.uint16))
    with pytest.raises(RasterContractError, match='found uint16'):
        MultiSensorTileDataset(data_root=root, check_files='open')
    MultiSensorTileDataset(
        data_root=root, check_files='open',
        reader_options=dict(hr_rgb=dict(scale=0.1)))
    (tmp_path / 'hr' / '0.tif').write_bytes(b'')
    with pytest.raises(RasterContractError, match='0 bytes'):
        MultiSensorTileDataset(data_root=root)


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif'])
def test_plain_images_from_a_list(tmp_path, suffix, capfd):
    """Class folders of images without georeference, for RGB alone."""
    import cv2

    from mmskysense.datasets.index_builder import index_tiles
    rng = np.random.default_rng(0)
    names = [f'{c}/{c}_{n}{suffix}' for c in 'ab' for n in range(3)]
    for name in names:
        (tmp_path / 'images' / name).parent.mkdir(
            parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'images' / name),
                    rng.integers(0, 255, (64, 64, 3), np.uint8))
    (tmp_path / 'train.txt').write_text('\n'.join(names[:4]))
    index_tiles(tmp_path, dict(hr_rgb='images'),
                lists=dict(train=tmp_path / 'train.txt'))
    dataset = MultiSensorTileDataset(
        data_root=str(tmp_path), sensors=('hr_rgb', ), split='train',
        check_files='open', pipeline=[
            dict(type='LoadMultiSensorTile', sensors=('hr_rgb', ),
                 cache_bytes=2**20),
            dict(type='MultiCropViews', sizes=dict(hr_rgb=(64, 32))),
            dict(type='RadiometricJitter'),
            dict(type='PackPretrainInputs')])
    assert len(dataset) == 4
    for _ in range(2):
        batch = pseudo_collate([dataset[n] for n in range(4)])
    view = batch['inputs']['global'][0]['images']['hr_rgb']
    assert [tuple(image.shape) for image in view] == [(1, 3, 64, 64)] * 4
    assert batch['data_samples'][3].tile_id == 'b_0'
    assert len(dataset.pipeline.transforms[0].cache) == 4
    assert capfd.readouterr().err == ''
