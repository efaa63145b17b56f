# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""LEVIR-CD from the published layout to the metric, and to a map."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.levir_cd import convert_levir_cd
from mmskysense.models.necks import DateDifferenceNeck

ROOT = Path(__file__).parents[2]
CONFIG = ('configs/change_detection/'
          'skysense_v2_base_siamese-upernet_8xb4-40k_levir-cd-256x256.py')
TINY = [48, 96, 192, 384]


def write_download(root, count=2, size=64):
    """Pairs as published: PNG, labels of 0 and 255."""
    random = np.random.default_rng(0)
    for split in ('train', 'val', 'test'):
        for number in range(count):
            before = random.integers(0, 255, (size, size, 3), np.uint8)
            after, label = before.copy(), np.zeros((size, size), np.uint8)
            after[10:30, 20:50], label[10:30, 20:50] = 250, 255
            for folder, image in (('A', before), ('B', after),
                                  ('label', label)):
                path = root / split / folder / f'{split}_{number}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
    return root


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp('levir')
    write_download(folder / 'download')
    convert_levir_cd(str(folder / 'download'), str(folder / 'data'), size=32,
                     partial=True)
    return folder / 'data'


def test_tiles_are_pairs_with_a_label(converted):
    tiles = json.loads((converted / 'index.json').read_text())['tiles']
    assert len(tiles) == 3 * 2 * 4
    assert {tile['split'] for tile in tiles} == {'train', 'val', 'test'}
    tile = tiles[0]
    before, after, label = (
        cv2.imread(str(converted / name), cv2.IMREAD_UNCHANGED)
        for name in (*tile['hr_rgb'], tile['change']))
    np.testing.assert_array_equal((before != after).any(-1), label == 1)
    assert set(np.unique(label)) <= {0, 1}
    summary = json.loads((converted / 'conversion.json').read_text())
    assert summary['changed_share'] == pytest.approx(600 / 4096, abs=1e-4)


@pytest.mark.parametrize('spoil,words', [
    (lambda r: (r / 'val/B/val_0.png').unlink(), 'val_0.png'),
    (lambda r: (r / 'val/label/val_1.png').unlink(), 'val_1.png'),
    (lambda r: cv2.imwrite(str(r / 'test/B/test_0.png'),
                           np.zeros((60, 64, 3), np.uint8)), 'test_0.png'),
    (lambda r: cv2.imwrite(str(r / 'test/label/test_0.png'),
                           np.full((64, 64), 7, np.uint8)), 'found 7'),
    (lambda r: (r / 'train/A/train_0.png').write_bytes(b'no image'),
     'train_0.png')])
def test_damage_is_named(tmp_path, spoil, words):
    root = write_download(tmp_path / 'download')
    spoil(root)
    with pytest.raises(Exception, match=words) as caught:
        convert_levir_cd(str(root), str(tmp_path / 'data'), size=32,
                         partial=True)
    assert isinstance(caught.value, OSError | ValueError)


def test_a_part_is_refused_unless_asked_for(tmp_path):
    root = write_download(tmp_path / 'download')
    with pytest.raises(DataError, match='2 of 445 in train'):
        convert_levir_cd(str(root), str(tmp_path / 'data'))
    with pytest.raises(DataError, match='train, val and test'):
        convert_levir_cd(str(tmp_path / 'empty'), str(tmp_path / 'data'))


def shrink(cfg):
    """A tiny encoder in place of the base one."""
    cfg.model.backbone.arch = 'tiny'
    cfg.model.backbone.drop_path_rate = 0.0
    cfg.model.neck.in_channels = TINY
    norm = dict(type='GN', num_groups=8)
    cfg.model.decode_head.update(in_channels=TINY, channels=16, norm_cfg=norm)
    cfg.model.auxiliary_head.update(in_channels=TINY[2], channels=16,
                                    norm_cfg=norm)
    return cfg


def test_the_config_trains_validates_tests_and_maps(converted, tmp_path):
    pytest.importorskip('mmseg')
    cfg = shrink(Config.fromfile(str(ROOT / CONFIG)))
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(converted)
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    cfg.default_hooks.checkpoint.interval = 3
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer = dict(type='Visualizer', name='levir')
    runner = Runner.from_cfg(cfg)
    runner.train()
    scores = runner.test()
    assert {'mIoU', 'mFscore'} <= set(scores)
    assert all(math.isfinite(value) for value in scores.values())

    # The same weights on two whole rasters.
    from mmskysense.apis import SeriesInferencer
    for name in ('before', 'after'):
        with rasterio.open(
                tmp_path / f'{name}.tif', 'w', driver='GTiff', height=70,
                width=50, count=3, dtype='uint8', crs='EPSG:32631',
                transform=rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 46e5)
        ) as dataset:
            dataset.write(np.random.default_rng(0).integers(
                1, 255, (3, 70, 50), np.uint8))
    cfg.dump(tmp_path / 'config.py')
    inferencer = SeriesInferencer(tmp_path / 'config.py',
                                  tmp_path / 'work/iter_3.pth', device='cpu')
    pair = [tmp_path / 'before.tif', tmp_path / 'after.tif']
    summary = inferencer.predict_raster(
        dict(hr_rgb=pair), tmp_path / 'change.tif', window=32)
    assert summary.class_names == ('no change', 'change')
    assert (summary.height, summary.width) == (70, 50)
    inputs = inferencer.inputs(dict(hr_rgb=pair))
    assert [image.label for image in inputs.images['hr_rgb']] == [
        str(path) for path in pair]
    with pytest.raises(ValueError, match='two dates of one sensor'):
        inferencer.predict_raster(dict(hr_rgb=pair[0]),
                                  tmp_path / 'one.tif', window=32)
    assert not (tmp_path / 'one.tif').exists()


@pytest.mark.parametrize('comparison,times', [
    ('difference', 1), ('concatenation', 2), ('all', 3)])
def test_the_neck_compares_dates(comparison, times):
    maps = (torch.rand(2, 2, 4, 6, 6), torch.rand(2, 2, 8, 3, 3))
    neck = DateDifferenceNeck((4, 8), comparison)
    levels = neck({'hr_rgb': maps})
    assert neck.out_channels == (4 * times, 8 * times)
    assert [level.shape[1] for level in levels] == list(neck.out_channels)
    turned = neck({'hr_rgb': tuple(level.flip(1) for level in maps)})
    same = all(torch.equal(a, b)
               for a, b in zip(levels, turned, strict=True))
    assert same == (comparison == 'difference')
    equal = neck({'hr_rgb': tuple(level[:, :1].expand(-1, 2, -1, -1, -1)
                                  for level in maps)})
    if comparison != 'concatenation':
        assert not equal[0][:, -4:].any()  # nothing changed


def test_the_neck_refuses_what_is_no_pair():
    with pytest.raises(ValueError, match="comparison='ratio'"):
        DateDifferenceNeck((4, ), 'ratio')
    with pytest.raises(ValueError, match='in_channels is empty'):
        DateDifferenceNeck(())
    neck = DateDifferenceNeck((4, ))
    for inputs in (dict(hr_rgb=(torch.rand(1, 3, 4, 2, 2), )),
                   dict(hr_rgb=(torch.rand(1, 2, 4, 2, 2), ),
                        s1_grd=(torch.rand(1, 2, 4, 2, 2), ))):
        with pytest.raises(ValueError, match='two dates of one sensor'):
            neck(inputs)
