# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""fMoW-Sentinel from the published layout to the metric."""

import csv
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).parent))
from segmentation_miniatures import write_tif

from mmskysense.datasets import FMoWSentinelDataset
from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.fmow_sentinel import convert_fmow_sentinel
from mmskysense.datasets.fmow_sentinel import FILE_BANDS
from mmskysense.datasets.transforms import LoadGeoTIFF

ROOT = Path(__file__).parents[2]
CONFIGS = ('configs/classification/'
           'skysense_v2_base_finetune_8xb64-50k_fmow-sentinel-96x96.py',
           'configs/classification/skysense_v2_base_fusion-linear_8xb16-50k_'
           'fmow-sentinel-series-96x96.py')
CLASSES = ('airport', 'multi-unit_residential', 'zoo')


def write_download(root):
    """Three places a split with two images each, of various sizes."""
    random = np.random.default_rng(0)
    for split in ('train', 'val', 'test_gt'):
        with open(root_of(root) / f'{split}.csv', 'w', newline='') as file:
            writer = csv.writer(file)
            # The lists begin with pandas' unnamed column of row numbers.
            writer.writerow(['', 'category', 'location_id', 'image_id',
                             'timestamp', 'polygon'])
            for place, name in enumerate(CLASSES):
                for image in (1, 102):
                    size = (20 + 3 * place, 25)
                    # Each band has its own level, by its place in the file.
                    values = random.integers(0, 50, (13, *size)) + np.arange(
                        300, 1600, 100)[:, None, None]
                    write_tif(path(root, split, name, place, image),
                              values.astype(np.uint16), 'EPSG:4326',
                              (5.0, 45.0), 1e-4)
                    writer.writerow([place, name, place, image,
                                     f'201{7 - image // 100}-06-13T10:20:30Z',
                                     'POLYGON ((5 45, 5 46, 6 46, 5 45))'])
    return root


def root_of(root):
    root.mkdir(parents=True, exist_ok=True)
    return root


def path(root, split, name, place, image):
    stem = f'{name}_{place}'
    return root / 'fmow-sentinel' / split / name / stem / f'{stem}_{image}.tif'


def convert(root, out, **options):
    return convert_fmow_sentinel(str(root), str(out), partial=True, **options)


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp('fmow')
    convert(write_download(folder / 'download'), folder / 'data')
    return folder / 'data'


def test_there_are_62_classes():
    names = FMoWSentinelDataset.METAINFO['classes']
    assert len(names) == len(set(names)) == 62
    assert list(names) == sorted(names)


def test_the_index_names_images_where_they_lie(converted):
    dataset = FMoWSentinelDataset(data_root=str(converted), split='val',
                                  check_files='open')
    assert len(dataset) == 6
    sample = dataset[3]
    assert sample['tile_id'] == 'val/multi-unit_residential_1_102'
    assert os.path.isfile(sample['img_path'])
    names = dataset.metainfo['classes']
    assert names[sample['gt_label']] == 'multi-unit_residential'
    assert sample['acquired'] == dict(s2_l2a=['2016-06-13'])
    image = LoadGeoTIFF('s2_l2a', bands=FILE_BANDS).transform(sample)['img']
    # B02 is the second band of the file, B8A the ninth, B12 the last.
    levels = (image.mean((0, 1)) // 100).astype(int).tolist()
    assert levels == [4, 5, 6, 7, 8, 9, 10, 11, 14, 15]
    summary = json.loads((converted / 'conversion.json').read_text())
    assert summary['splits']['train'] == dict(
        images=6, empty=0, places=3, other_grid=0,
        classes=dict.fromkeys(CLASSES, 2))


def test_a_series_has_the_dates_of_a_place_in_order(tmp_path):
    root = write_download(tmp_path / 'download')
    # One image of another size, where two of three are alike.
    rewrite(root / 'train.csv', '0,airport,0,102',
            '0,airport,0,7,2018-01-01T00:00:00Z,\n0,airport,0,102')
    write_tif(path(root, 'train', 'airport', 0, 7),
              np.full((13, 9, 9), 700, np.uint16))
    _, summary = convert(root, tmp_path / 'data')
    assert summary['splits']['train']['other_grid'] == 1
    dataset = FMoWSentinelDataset(data_root=str(tmp_path / 'data'),
                                  series=True)
    assert [sample['tile_id'] for sample in dataset] == [
        f'train/{name}_{place}' for place, name in enumerate(CLASSES)]
    sample = dataset[0]
    assert sample['acquired'] == dict(s2_l2a=['2016-06-13', '2017-06-13'])
    assert [Path(name).stem for name in sample['paths']['s2_l2a']] == [
        'airport_0_102', 'airport_0_1']


def test_images_without_a_measured_pixel_are_left_out(tmp_path):
    root = write_download(tmp_path / 'download')
    write_tif(path(root, 'train', 'zoo', 2, 1),
              np.zeros((13, 20, 20), np.uint16))
    _, summary = convert(root, tmp_path / 'data')
    assert summary['splits']['train']['empty'] == 1
    assert len(FMoWSentinelDataset(data_root=str(tmp_path / 'data'))) == 5


def rewrite(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize('spoil,words', [
    (lambda r: path(r, 'train', 'zoo', 2, 1).unlink(), 'zoo_2_1.tif'),
    (lambda r: path(r, 'val', 'zoo', 2, 1).write_bytes(b'x'), 'zoo_2_1.tif'),
    (lambda r: write_tif(path(r, 'train', 'zoo', 2, 1),
                         np.ones((12, 9, 9), np.uint16)), 'zoo_2_1.*12'),
    (lambda r: rewrite(r / 'val.csv', 'airport', 'spaceport'),
     "val.csv, line 2: .*62 categories, found 'spaceport'"),
    (lambda r: rewrite(r / 'train.csv', 'image_id', 'img'),
     'train.csv, line 1: expected the columns'),
    (lambda r: rewrite(r / 'train.csv', 'airport,0,102', 'airport,0,1'),
     "line 3: image 'airport_0_1' is listed twice"),
    (lambda r: rewrite(r / 'train.csv', 'airport,0,102', 'airport,,102'),
     "found '' and '102'"),
    (lambda r: rewrite(r / 'train.csv', '2017-06-13', '13 June'),
     'expected a time'),
    (lambda r: [(r / f'{s}.csv').unlink() for s in
                ('train', 'val', 'test_gt')], 'expected the lists'),
    (lambda r: (r / 'fmow-sentinel').rename(r / 'images'), 'fmow-sentinel')])
def test_damage_is_named(tmp_path, spoil, words):
    root = write_download(tmp_path / 'download')
    spoil(root)
    with pytest.raises(ValueError, match=words):
        convert(root, tmp_path / 'data')


def test_bad_images_can_be_left_out_and_parts_accepted(tmp_path):
    root = write_download(tmp_path / 'download')
    with pytest.raises(DataError, match='6 of 712874 in train'):
        convert_fmow_sentinel(str(root), str(tmp_path / 'data'))
    path(root, 'train', 'zoo', 2, 1).unlink()
    report, summary = convert(root, tmp_path / 'data', skip_bad=True)
    assert list(report.bad) == ['train/zoo_2_1']
    assert summary['splits']['train']['images'] == 5
    again, _ = convert(root, tmp_path / 'data', skip_bad=True)
    assert again.resumed == 17


@pytest.mark.parametrize('name', CONFIGS)
def test_a_config_trains_validates_and_tests(name, converted, tmp_path):
    pytest.importorskip('mmpretrain')
    cfg = Config.fromfile(str(ROOT / name))
    cfg.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    cfg.model.head.in_channels = 384
    if 'fusion' in cfg.model.neck:
        cfg.model.neck.in_channels = (384, )
        cfg.model.neck.fusion.update(embed_dims=32, depth=1, num_heads=2)
        cfg.model.head.in_channels = 32
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(converted)
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        for transform in loader.dataset.pipeline:
            if 'scale' in transform:
                transform.scale = 32 if phase == 'train' else (32, 32)
            elif 'size' in transform:
                transform.size = 32
    cfg.test_dataloader.dataset.split = 'test_gt'
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.visualization.draw = True
    cfg.visualizer.name = str(tmp_path)
    cfg.work_dir = str(tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3 and all(math.isfinite(loss) for loss in losses)
    assert math.isfinite(runner.message_hub.get_scalar(
        'val/accuracy/top5').current())
    scores = runner.test()
    assert list((tmp_path / 'work').glob('*/vis_data/vis_image/*.png'))
    assert 0 <= scores['accuracy/top1'] <= scores['accuracy/top5'] <= 100
    assert not list((tmp_path / 'work').glob('best_*'))
