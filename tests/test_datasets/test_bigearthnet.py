# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""BigEarthNet-S2 and -MM from the published layout to the metric."""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from mmengine.config import Config
from mmengine.runner import Runner, load_checkpoint

sys.path.insert(0, str(Path(__file__).parent))
from segmentation_miniatures import write_tif

from mmskysense.datasets import BigEarthNetDataset
from mmskysense.datasets.big_earth_net import NOMENCLATURE, WITHOUT_CLASS
from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.bigearthnet import (
    BAD_LISTS,
    METADATA,
    convert_bigearthnet,
)

ROOT = Path(__file__).parents[2]
S2_ROWS = ('configs/classification/'
           'skysense_v2_base_finetune_8xb32-50k_bigearthnet-s2.py',
           'configs/classification/skysense_v2_base_finetune_8xb32-10k_'
           'bigearthnet-s2-10pct.py')
MM_ROW = ('configs/multi_modal/'
          'skysense_v2_base_fusion-linear_8xb32-50k_bigearthnet-mm.py')
# Bands and how many times coarser than 10 m.
BANDS = dict(B01=6, B02=1, B03=1, B04=1, B05=2, B06=2, B07=2, B08=1, B8A=2,
             B09=6, B11=2, B12=2)
ZONE, SIDE = 'EPSG:32629', 12
LABELS = (['Pastures', 'Sea and ocean'], ['Vineyards', 'Airports', 'Pastures'],
          ['Olive groves', 'Vineyards'])


def write_download(root, per_split=3):
    """Patches as published, pairs in train.csv, a header in val.csv."""
    random = np.random.default_rng(0)
    for s, split in enumerate(('train', 'val', 'test')):
        rows = ['s2,s1'] if split == 'val' else []
        for n in range(per_split):
            labels = LABELS[n % len(LABELS)]
            place = (5e5 + 1200 * (10 * s + n), 5e6)
            s2 = f'S2A_MSIL2A_20170613T101031_{s}_{n}'
            s1 = f'S1A_IW_GRDH_1SDV_20170614T165043_29UPU_{s}_{n}'
            rows.append(f'{s2},{s1}')
            folder = root / 'BigEarthNet-v1.0' / s2
            for band, factor in BANDS.items():
                image = random.integers(
                    300, 4000, (1, SIDE // factor, SIDE // factor))
                write_tif(folder / f'{s2}_{band}.tif',
                          image.astype(np.uint16), ZONE, place, 10 * factor)
            (folder / f'{s2}{METADATA}').write_text(json.dumps(dict(
                labels=labels, acquisition_date='2017-06-13 10:10:31')))
            folder = root / 'BigEarthNet-S1-v1.0' / s1
            for band in ('VV', 'VH'):
                image = random.uniform(-25, -5, (1, SIDE, SIDE))
                write_tif(folder / f'{s1}_{band}.tif',
                          image.astype(np.float32), ZONE, place, 10)
            (folder / f'{s1}{METADATA}').write_text(json.dumps(dict(
                labels=labels, acquisition_time='2017-06-14T16:50:43',
                corresponding_s2_patch=s2)))
        (root / f'{split}.csv').write_text('\n'.join(rows) + '\n')
    return root


def patch(root, split=0, number=0, sensor='s2_l2a'):
    if sensor == 's1_grd':
        name = f'S1A_IW_GRDH_1SDV_20170614T165043_29UPU_{split}_{number}'
        return root / 'BigEarthNet-S1-v1.0' / name
    name = f'S2A_MSIL2A_20170613T101031_{split}_{number}'
    return root / 'BigEarthNet-v1.0' / name


def convert(root, out, sensors=('s2_l2a', 's1_grd'), **options):
    options.setdefault('partial', True)
    return convert_bigearthnet(str(root), str(out), sensors=sensors,
                               **options)


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bigearthnet')
    convert(write_download(folder / 'download'), folder / 'data')
    return folder / 'data'


def test_the_nomenclature_is_whole():
    known = [label for labels in NOMENCLATURE.values() for label in labels]
    assert len(NOMENCLATURE) == 19 and len(WITHOUT_CLASS) == 11
    assert len({*known, *WITHOUT_CLASS}) == len(known) + 11 == 43


def test_a_patch_is_one_file_a_sensor_on_one_grid(converted):
    dataset = BigEarthNetDataset(data_root=str(converted), split='train',
                                 sensors=('s2_l2a', 's1_grd'))
    assert len(dataset) == 3
    sample = dataset[1]
    assert sample['acquired'] == dict(s2_l2a=['2017-06-13'],
                                      s1_grd=['2017-06-14'])
    # Vineyards are permanent crops, airports have no class.
    names = dataset.metainfo['classes']
    assert [names[n] for n in np.flatnonzero(sample['gt_score'])] == [
        'Permanent crops', 'Pastures']
    for sensor, count, kind in (('s2_l2a', 10, 'uint16'),
                                ('s1_grd', 2, 'float32')):
        path, = sample['paths'][sensor]
        with rasterio.open(path) as file:
            assert file.count == count and file.dtypes[0] == kind
            assert file.shape == (SIDE, SIDE) and file.transform.a == 10
            assert file.crs.to_epsg() == 32629 and file.nodata == 0
    two_names = dataset[2]['gt_score']  # two labels, one class
    assert two_names.sum() == 1


def test_coarse_bands_lie_where_fine_ones_do(converted, tmp_path):
    root = write_download(tmp_path / 'download')
    sample = BigEarthNetDataset(data_root=str(converted))[0]
    with rasterio.open(sample['img_path']) as file:
        image = file.read()
        names = list(file.descriptions)
    folder = patch(root)
    for band in ('B03', 'B11'):
        with rasterio.open(folder / f'{folder.name}_{band}.tif') as file:
            source = file.read(1).astype(float)
        mine = image[names.index(band)].astype(float)
        factor = SIDE // len(source)
        blocks = mine.reshape(len(source), factor, -1, factor).mean((1, 3))
        # Bilinear enlargement keeps what is inside a block close.
        assert np.corrcoef(blocks.ravel(), source.ravel())[0, 1] > 0.95
        if factor == 1:
            np.testing.assert_array_equal(mine, source)


def test_the_summary_counts_classes(converted):
    summary = json.loads((converted / 'conversion.json').read_text())
    assert summary['splits']['train']['patches'] == 3
    assert summary['splits']['test']['classes']['Pastures'] == 2
    assert len(summary['s2_l2a']['mean']) == 10
    assert -25 < summary['s1_grd']['mean'][0] < -5


def test_a_tenth_is_a_seeded_part(converted):
    def ids(**options):
        data = BigEarthNetDataset(data_root=str(converted), **options)
        return [sample['tile_id'] for sample in data]

    whole = ids()
    assert ids(fraction=0.1) == ids(fraction=0.1) and len(ids(
        fraction=0.1)) == 1
    assert set(ids(fraction=0.3)) < set(ids(fraction=0.7)) < set(whole)
    assert len({tuple(ids(fraction=0.4, seed=n)) for n in range(9)}) > 1
    with pytest.raises(ValueError, match='fraction=0'):
        BigEarthNetDataset(data_root=str(converted), fraction=0)


def test_wrong_use_of_the_index_is_named(converted, tmp_path):
    for options, words in (
            (dict(multi_label=False), 'to be a class id from 0 to 18'),
            (dict(label_key='crop'), "'crop' to be a list"),
            (dict(metainfo=dict(classes=('a', 'b'))), 'from 0 to 1'),
            (dict(sensors=('hr_rgb', )), 'no file of hr_rgb'),
            (dict(sensors=('s2_l2a', 's1_grd'), require=('hr_rgb', )),
             'require names')):
        with pytest.raises(ValueError, match=words):
            BigEarthNetDataset(data_root=str(converted), **options)
    with pytest.raises(FileNotFoundError, match='all.json'):
        BigEarthNetDataset(data_root=str(converted), split='all')


def test_snow_and_clouds_are_left_out(tmp_path):
    root = write_download(tmp_path / 'download')
    (root / BAD_LISTS[0]).write_text(patch(root, 0, 1).name + '\n')
    (root / BAD_LISTS[1]).write_text(patch(root, 2, 0).name + '\n')
    report, summary = convert(root, tmp_path / 'data')
    assert summary['snow_or_clouds'] == dict(train=1, val=0, test=1)
    assert len(report.results) == 7


def test_a_patch_without_a_class_is_no_sample(tmp_path):
    root = write_download(tmp_path / 'download')
    for sensor in ('s2_l2a', 's1_grd'):
        folder = patch(root, 1, 2, sensor)
        path = folder / f'{folder.name}{METADATA}'
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, 'labels': ['Airports']}))
    _, summary = convert(root, tmp_path / 'data')
    assert summary['splits']['val'] == {
        **summary['splits']['val'], 'patches': 2, 'without_class': 1}


def test_lists_without_pairs_and_under_other_names(tmp_path):
    root = write_download(tmp_path / 'download')
    lists = tmp_path / 'lists'
    lists.mkdir()
    for split in ('train', 'val', 'test'):
        text = (root / f'{split}.csv').read_text()
        (root / f'{split}.csv').unlink()
        (lists / f'bigearthnet-{split}.txt').write_text(''.join(
            line.split(',')[0] + '\n' for line in text.splitlines()
            if line.startswith('S2')))
    with pytest.raises(DataError, match='no train.csv'):
        convert(root, tmp_path / 'data')
    report, _ = convert(root, tmp_path / 'data', splits=str(lists))
    assert len(report.results) == 9
    shutil.rmtree(patch(root, 0, 0, 's1_grd'))
    with pytest.raises(DataError, match='line 1: .*no Sentinel-1 patch'):
        convert(root, tmp_path / 'other', splits=str(lists))
    (lists / 'train.csv').write_text(patch(root).name + '\n')
    with pytest.raises(DataError, match="one list of split 'train'"):
        convert(root, tmp_path / 'other', splits=str(lists))


def change_metadata(folder, **changes):
    path = folder / f'{folder.name}{METADATA}'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize('spoil,words', [
    (lambda r: (patch(r) / f'{patch(r).name}_B8A.tif').unlink(), "'B8A'"),
    (lambda r: shutil.rmtree(patch(r)), 'S2A_MSIL2A_20170613T101031_0_0'),
    (lambda r: shutil.rmtree(patch(r, 1, 1, 's1_grd')), '29UPU_1_1'),
    (lambda r: (patch(r) / f'{patch(r).name}{METADATA}').write_text('{"la'),
     'line 1: expected JSON'),
    (lambda r: change_metadata(patch(r), labels=['Lava']), "found 'Lava'"),
    (lambda r: change_metadata(patch(r), labels=3),
     "metadata.json: expected 'labels' to be a list of names, found 3"),
    (lambda r: change_metadata(patch(r), acquisition_date=None),
     "'acquisition_date' to be a text, found None"),
    (lambda r: change_metadata(patch(r, 0, 0, 's1_grd'), labels=['Salines']),
     'classes .* of its partner'),
    (lambda r: change_metadata(patch(r, 0, 1, 's1_grd'),
                               corresponding_s2_patch='S2A_other'),
     "that of 'S2A_other'"),
    (lambda r: (patch(r) / f'{patch(r).name}{METADATA}').write_text('{}'),
     "expected 'labels'"),
    (lambda r: write_tif(patch(r) / f'{patch(r).name}_B05.tif',
                         np.ones((1, 5, 6), np.uint16)), 'B05.*whole part'),
    (lambda r: [write_tif(patch(r, 0, 0, 's1_grd') /
                          f'{patch(r, 0, 0, "s1_grd").name}_{band}.tif',
                          np.ones((1, 9, 9), np.float32))
                for band in ('VV', 'VH')], r'\(9, 9\)'),
    (lambda r: (r / 'val.csv').write_text((r / 'train.csv').read_text()),
     'val.csv, line 1.*listed in train.csv too'),
    (lambda r: (r / 'test.csv').write_text('S2A_MSIL2A_1_1\nnonsense\n'),
     "test.csv, line 2.*found 'nonsense'"),
    (lambda r: shutil.rmtree(r / 'BigEarthNet-S1-v1.0'),
     'Sentinel-1 GRD patches')])
def test_damage_is_named(tmp_path, spoil, words):
    root = write_download(tmp_path / 'download', per_split=2)
    spoil(root)
    with pytest.raises(ValueError, match=words):
        convert(root, tmp_path / 'data')


def test_bad_patches_can_be_left_out_and_parts_accepted(tmp_path):
    root = write_download(tmp_path / 'download', per_split=2)
    with pytest.raises(DataError, match='2 of 269695 in train'):
        convert(root, tmp_path / 'data', partial=False)
    change_metadata(patch(root), labels=['Lava'])
    report, summary = convert(root, tmp_path / 'data', skip_bad=True)
    assert list(report.bad) == [patch(root).name] and summary['bad'] == 1
    assert summary['splits']['train']['patches'] == 1
    again, _ = convert(root, tmp_path / 'data', skip_bad=True)
    assert again.resumed == 5
    with pytest.raises(DataError, match='was converted with'):
        convert(root, tmp_path / 'data', sensors=('s2_l2a', ))
    with pytest.raises(ValueError, match='expected some of s2_l2a, s1_grd'):
        convert(root, tmp_path / 'data', sensors=('hr_rgb', ))


def shrink(name, data_root, work_dir):
    cfg = Config.fromfile(str(ROOT / name))
    cfg.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    cfg.model.head.in_channels = 384
    if 'fusion' in cfg.model.neck:
        cfg.model.neck.in_channels = (384, )
        cfg.model.neck.fusion.update(embed_dims=32, depth=1, num_heads=2)
        cfg.model.head.in_channels = 32
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(data_root)
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.visualization.draw = True
    cfg.visualizer.name = str(work_dir)
    cfg.work_dir = str(work_dir)
    return cfg


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch):
    """mmengine formats the whole config eight times a run: a third of it."""
    monkeypatch.setattr(Config, 'pretty_text', property(repr))


def train_and_test(cfg):
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3 and all(math.isfinite(loss) for loss in losses)
    scores = runner.test()
    assert list(Path(cfg.work_dir).glob('*/vis_data/vis_image/*.png'))
    assert set(scores) == {'multi-label/mAP', 'multi-label/micro_mAP'}
    assert all(0 <= value <= 100 for value in scores.values())
    return runner


@pytest.mark.parametrize('name', S2_ROWS)
def test_the_optical_rows_train_validate_and_test(name, converted, tmp_path):
    pytest.importorskip('mmpretrain')
    cfg = shrink(name, converted, tmp_path / 'work')
    runner = train_and_test(cfg)
    count = 1 if '10pct' in name else 3  # a tenth of three is one
    assert len(runner.train_dataloader.dataset) == count
    assert math.isfinite(runner.message_hub.get_scalar(
        'val/multi-label/mAP').current())


def test_fusion_trains_and_a_missing_sensor_is_no_error(converted, tmp_path):
    pytest.importorskip('mmpretrain')
    runner = train_and_test(shrink(MM_ROW, converted, tmp_path / 'work'))
    # DistributedDataParallel allows no parameter without a gradient.
    model = runner.model.train()
    batch = next(iter(runner.build_dataloader(
        shrink(MM_ROW, converted, tmp_path).train_dataloader)))
    total, _ = model.parse_losses(model(
        **model.data_preprocessor(batch, True), mode='loss'))
    total.backward()
    assert [n for n, p in model.named_parameters()
            if p.requires_grad and p.grad is None] == []

    scores = {}
    for kept in ('s2_l2a', 's1_grd'):
        # Both sensors are named, but the index has one of them.
        index = json.loads((converted / 'test.json').read_text())
        for tile in index['tiles']:
            for sensor in {'s2_l2a', 's1_grd'} - {kept}:
                del tile[sensor], tile[f'{sensor}_dates']
        (converted / f'only_{kept}.json').write_text(json.dumps(index))
        cfg = shrink(MM_ROW, converted, tmp_path / kept)
        cfg.test_dataloader.dataset.index = f'only_{kept}.json'
        other = Runner.from_cfg(cfg)
        load_checkpoint(other.model, str(tmp_path / 'work/iter_3.pth'))
        scores[kept] = other.test()['multi-label/mAP']
    assert all(math.isfinite(score) for score in scores.values())


def test_a_mixed_batch_fuses_what_is_there(converted, tmp_path):
    pytest.importorskip('mmpretrain')
    import torch
    runner = Runner.from_cfg(shrink(MM_ROW, converted, tmp_path / 'work'))
    model = runner.model.eval()
    batch = next(iter(runner.build_dataloader(
        shrink(MM_ROW, converted, tmp_path).test_dataloader)))
    whole = model.test_step(batch)
    for key, empty in (('images', torch.zeros(0, 2, 1, 1)),
                       ('valid', torch.zeros(0, 1, 1, dtype=torch.bool)),
                       ('dates', torch.zeros(0, dtype=torch.int64))):
        batch['inputs'][key]['s1_grd'][1] = empty
    mixed = model.test_step(batch)
    first, second = ((a.pred_score - b.pred_score).abs().max()
                     for a, b in zip(whole, mixed, strict=True))
    assert first < 1e-5 < second
