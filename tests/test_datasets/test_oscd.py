# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""OSCD from the published layout to the metric."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from mmengine.config import Config
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).parent))
from segmentation_miniatures import write_png, write_tif

from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.band_files import (
    enlarge,
    find_bands,
    read_bands,
)
from mmskysense.datasets.conversion.oscd import convert_oscd, read_label

ROOT = Path(__file__).parents[2]
CONFIG = ('configs/change_detection/'
          'skysense_v2_base_siamese-upernet_8xb4-10k_oscd-96x96.py')
PREFIX = 'Onera Satellite Change Detection dataset - '
BANDS = [f'B{n:02}' for n in range(1, 13)] + ['B8A']
TINY = [48, 96, 192, 384]


def write_download(root, size=(40, 56)):
    """Two train cities and a test city; one label as TIFF of 1 and 2."""
    random = np.random.default_rng(0)
    for split, city in (('Train', 'alpha'), ('Train', 'saclay_e'),
                        ('Test', 'rio')):
        folder = root / f'{PREFIX}Images' / city
        changed = np.zeros(size, np.uint8)
        changed[5:20, 10:30] = 1
        for band in BANDS:
            before = random.integers(500, 3000, (1, *size)).astype(np.uint16)
            after = before + 2000 * changed[None].astype(np.uint16)
            write_tif(folder / 'imgs_1_rect' / f'{band}.tif', before)
            write_tif(folder / 'imgs_2_rect' / f'{band}.tif', after)
        (folder / 'dates.txt').write_text('date_1: 20160120\n'
                                          'date_2: 20180328\n')
        labels = root / f'{PREFIX}{split} Labels' / city / 'cm'
        write_tif(labels / f'{city}-cm.tif', changed[None] + np.uint8(1))
        if city == 'alpha':  # grey, saved as colour with alpha
            grey = np.repeat(255 * changed[..., None], 4, axis=2)
            grey[..., 3] = 255
            write_png(labels / 'cm.png', grey)
        elif city == 'rio':
            write_png(labels / 'cm.png', 255 * changed)
    return root


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp('oscd')
    write_download(folder / 'download')
    convert_oscd(str(folder / 'download'), str(folder / 'data'), size=32,
                 partial=True)
    return folder / 'data'


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def test_tiles_are_dated_pairs(converted):
    tiles = json.loads((converted / 'index.json').read_text())['tiles']
    assert len(tiles) == 3 * 4
    assert [t['split'] for t in tiles if t['city'] == 'rio'] == ['test'] * 4
    for tile in tiles:
        assert tile['s2_l2a_dates'] == ['2016-01-20', '2018-03-28']
        before, after = (read(converted / name) for name in tile['s2_l2a'])
        assert before.shape == (10, 32, 32) and before.dtype == np.uint16
        label = read(converted / tile['change'])[0]
        seen = label != 255
        np.testing.assert_array_equal((before != after).all(0)[seen],
                                      label[seen] == 1)
    with rasterio.open(converted / tiles[0]['s2_l2a'][0]) as file:
        assert file.descriptions[7] == 'B8A' and file.nodata == 0
    summary = json.loads((converted / 'conversion.json').read_text())
    assert summary['changed_share'] == pytest.approx(300 / 2240, abs=1e-4)
    assert summary['bands'][0] == 'B02' and len(summary['std']) == 10


@pytest.mark.parametrize('split,counted', [('test', 2240), ('train', 4096)])
def test_a_metric_counts_every_test_pixel_once(converted, split, counted):
    tiles = json.loads((converted / 'index.json').read_text())['tiles']
    city = 'rio' if split == 'test' else 'alpha'
    labels = [read(converted / t['change'])[0] for t in tiles
              if t['city'] == city]
    assert sum(int((label != 255).sum()) for label in labels) == counted
    if split == 'test':
        assert sum(int((label == 1).sum()) for label in labels) == 300


def images(root):
    return root / f'{PREFIX}Images'


@pytest.mark.parametrize('spoil,words', [
    (lambda r: (images(r) / 'rio/imgs_2_rect/B8A.tif').unlink(), "'B8A'"),
    (lambda r: (r / f'{PREFIX}Test Labels/rio/cm/cm.png').unlink()
     or (r / f'{PREFIX}Test Labels/rio/cm/rio-cm.tif').unlink(), 'rio-cm'),
    (lambda r: (r / f'{PREFIX}Test Labels/rio').rename(
        r / f'{PREFIX}Test Labels/lima'), 'lima.*images of this city'),
    (lambda r: (images(r) / 'extra').mkdir(), 'extra.*a label of this city'),
    (lambda r: (r / f'{PREFIX}Test Labels/alpha').mkdir(), 'another label'),
    (lambda r: write_tif(images(r) / 'rio/imgs_1_rect/B03.tif',
                         np.ones((1, 20, 28), np.uint16)), 'B03.tif.*20, 28'),
    (lambda r: [write_tif(images(r) / f'rio/imgs_2_rect/{band}.tif',
                          np.ones((1, 40, 50), np.uint16))
                for band in BANDS], 'imgs_2_rect.*40, 50'),
    (lambda r: (images(r) / 'rio/dates.txt').write_text('date_1: soon\n'),
     "line 1.*'date_1: soon'"),
    (lambda r: (images(r) / 'rio/dates.txt').write_text('20160120\n'),
     'two dates, found 1'),
    (lambda r: (images(r) / 'rio/imgs_1_rect/B02.tif').write_bytes(b'x' * 9),
     'B02.tif')])
def test_damage_is_named(tmp_path, spoil, words):
    root = write_download(tmp_path / 'download')
    spoil(root)
    with pytest.raises(ValueError, match=words):
        convert_oscd(str(root), str(tmp_path / 'data'), size=32,
                     partial='extra' not in words)


def test_bad_cities_can_be_left_out_and_parts_accepted(tmp_path):
    root = write_download(tmp_path / 'download')
    with pytest.raises(DataError, match='2 of 14 in train, 1 of 10 in test'):
        convert_oscd(str(root), str(tmp_path / 'data'))
    (images(root) / 'extra').mkdir()
    (images(root) / 'alpha/imgs_1_rect/B12.tif').unlink()
    report, _ = convert_oscd(str(root), str(tmp_path / 'data'), size=32,
                             partial=True, skip_bad=True)
    assert list(report.bad) == ['alpha'] and len(report.results) == 2
    again, _ = convert_oscd(str(root), str(tmp_path / 'data'), size=32,
                            partial=True, skip_bad=True)
    assert again.resumed == 2
    with pytest.raises(DataError, match='Train Labels'):
        convert_oscd(str(tmp_path / 'nothing'), str(tmp_path / 'data'))


def test_other_label_values_are_refused(tmp_path):
    write_png(tmp_path / 'a.png', np.array([[0, 7, 255]], np.uint8))
    write_tif(tmp_path / 'a.tif', np.array([[[0, 1, 2]]], np.uint8))
    for name, words in (('a.png', 'found 0, 7, 255'),
                        ('a.tif', '1 and 2, found 0, 1, 2')):
        with pytest.raises(DataError, match=words):
            read_label(tmp_path / name)
    write_png(tmp_path / 'none.png', np.zeros((2, 2), np.uint8))
    assert not read_label(tmp_path / 'none.png').any()


def test_coarse_bands_are_enlarged_without_mixing_in_nodata(tmp_path):
    fine = np.arange(1, 17, dtype=np.uint16).reshape(1, 4, 4)
    coarse = np.array([[[100, 300], [0, 500]]], np.uint16)
    write_tif(tmp_path / 'X_B02.tif', fine, 'EPSG:32631', (5e5, 5e6), 10)
    write_tif(tmp_path / 'X_B05.tif', coarse)
    files = find_bands(tmp_path, ('B05', 'B02'))
    with pytest.raises(DataError, match=r'X_B05.*\(4, 4\).*\(2, 2\)'):
        read_bands(files)
    stack = read_bands(files, resample=True)
    assert stack.crs.to_epsg() == 32631 and stack.transform.a == 10
    np.testing.assert_array_equal(stack.image[1], fine[0])
    large = stack.image[0]
    np.testing.assert_array_equal(large == 0, np.repeat(
        np.repeat(coarse[0] == 0, 2, 0), 2, 1))
    np.testing.assert_array_equal(large[0], [100, 150, 250, 300])
    assert large[large > 0].min() >= 100  # 0 darkens no neighbour
    write_tif(tmp_path / 'X_B11.tif', np.ones((1, 3, 3), np.uint16))
    with pytest.raises(DataError, match='X_B11.*whole part'):
        read_bands(find_bands(tmp_path, ('B02', 'B11')), resample=True)
    write_tif(tmp_path / 'Y_B11.tif', np.ones((1, 2, 2), np.uint16))
    with pytest.raises(DataError, match="'B11'.*found 2"):
        find_bands(tmp_path, ('B11', ))
    same = enlarge(coarse[0].astype(np.float32), (2, 2), 0)
    assert same.dtype == np.float32


def test_the_config_trains_validates_and_tests(converted, tmp_path):
    pytest.importorskip('mmseg')
    cfg = Config.fromfile(str(ROOT / CONFIG))
    cfg.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    cfg.model.neck.in_channels = TINY
    norm = dict(type='GN', num_groups=8)
    cfg.model.decode_head.update(in_channels=TINY, channels=16, norm_cfg=norm)
    cfg.model.auxiliary_head.update(in_channels=TINY[2], channels=16,
                                    norm_cfg=norm)
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(converted)
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer = dict(type='Visualizer', name='oscd')
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3 and all(math.isfinite(loss) for loss in losses)
    assert math.isfinite(runner.message_hub.get_scalar(
        'val/mFscore').current())
    scores = runner.test()
    assert all(math.isfinite(value) for value in scores.values())
    assert not list((tmp_path / 'work').glob('best_*'))
