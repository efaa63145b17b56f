# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""TreeSatAI-Time-Series from the published layout to the metric."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from mmengine.config import Config
from mmengine.runner import Runner

from mmskysense.datasets.conversion import DataError, treesatai
from mmskysense.datasets.conversion.treesatai import (
    CLASSES,
    LABELS,
    clearest_dates,
    convert_treesatai,
)

h5py = pytest.importorskip('h5py')
ROOT = Path(__file__).parents[2]
CONFIG = ('configs/multi_modal/'
          'skysense_v2_base_fusion-linear_8xb16-50k_treesatai-ts.py')
NAMES = dict(train=('Abies_alba_1_1005_WEFL_NLF', 'Acer_sp_2_7_BI_NLF',
                    'Quercus_robur_3_9_WEFL_NLF'),
             val=('Larix_spec_5_7_BI_NLF', ),
             test=('Fagus_sylvatica_6_154201_BI_NLF',
                   'Tilia_spec_8_8_BI_NLF'))
# The second genus covers too little to count: a share must be above 0.07.
SHARES = [['Abies', 0.6], ['Fagus', 0.07], ['Quercus', 0.33]]
S2 = [f'S2A_MSIL2A_2020{m:02}15T102421_N0213_R065_T32UNC_20200102T115419'
      for m in range(1, 9)]


def write_series(path, random):
    with h5py.File(path, 'w') as file:
        file['sen-2-data'] = random.uniform(
            200, 4000, (8, 10, 6, 6)).astype('f4')
        masks = np.zeros((8, 10, 6, 6), 'f4')
        masks[0, 1] = 100           # January is all cloud,
        masks[1, 1, :3] = 80        # February in half.
        file['sen-2-masks'] = masks
        file['sen-2-products'] = S2
        for orbit, day in (('asc', 3), ('des', 9)):
            power = random.uniform(0.01, 0.3, (4, 2, 6, 6)).astype('f4')
            power[0, :, 0, 0] = 0
            file[f'sen-1-{orbit}-data'] = power
            file[f'sen-1-{orbit}-products'] = [
                f'S1A_IW_GRDH_1SDV_2020{m:02}{day:02}T170841_20200103T170906'
                for m in (1, 4, 7, 10)]


def write_download(root):
    """One series has the year in its name, others have not."""
    random = np.random.default_rng(0)
    for folder in ('aerial', 'sentinel-ts', 'labels', 'sentinel/s2/60m'):
        (root / folder).mkdir(parents=True)
    for split, names in NAMES.items():
        (root / f'{split}_filenames.lst').write_text(
            ''.join(f'{name}.tif\n' for name in names))
        for number, name in enumerate(names):
            with rasterio.open(
                    root / 'aerial' / f'{name}.tif', 'w', driver='GTiff',
                    count=4, height=64, width=64, dtype='uint8',
                    crs='EPSG:25832', transform=rasterio.Affine(
                        .94, 0, 565642, 0, -.94, 5770980)) as file:
                file.write(random.integers(0, 255, (4, 64, 64), np.uint8))
            # Single images of Sentinel-2 have the same names.
            (root / 'sentinel/s2/60m' / f'{name}.tif').write_bytes(b'')
            year = '_2020' if number == 0 else ''
            write_series(root / 'sentinel-ts' / f'{name}{year}.h5', random)
    (root / 'labels' / LABELS).write_text(json.dumps({
        f'{name}.tif': SHARES if split == 'train' else [['Tilia', 1.0]]
        for split, names in NAMES.items() for name in names}))
    return root


@pytest.fixture(scope='module', autouse=True)
def _sites():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(treesatai, 'SITES', 6)
        yield


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    root = tmp_path_factory.mktemp('treesatai')
    convert_treesatai(str(write_download(root / 'in')), str(root / 'out'),
                      dates=4)
    return root / 'out'


def test_index_and_rasters(converted):
    tiles = json.loads((converted / 'index.json').read_text())['tiles']
    assert [tile['split'] for tile in tiles] == [
        'test', 'test', 'val', 'train', 'train', 'train']
    first = tiles[3]
    assert [CLASSES[label] for label in first['label']] == [
        'Abies', 'Quercus']
    # The clearest of each pair of months; two dates of each orbit.
    assert first['s2_l2a_dates'] == [
        f'2020-{m:02}-15' for m in (2, 3, 5, 7)]
    assert first['s1_grd_dates'] == [
        '2020-01-03', '2020-04-03', '2020-07-09', '2020-10-09']
    with rasterio.open(converted / first['s2_l2a'][0]) as file:
        values = file.read()
        assert file.descriptions[0] == 'B02' and file.nodata == 0
    assert (values[:, :3] == 0).all() and (values[:, 3:] > 0).all()
    with rasterio.open(converted / first['s1_grd'][0]) as file:
        values = file.read()
    assert np.isnan(values[:, 0, 0]).all()
    assert -20 <= values[0, 1, 1] <= -5
    with rasterio.open(converted / first['aerial_rgbn'][0]) as file:
        assert file.descriptions == ('N', 'G', 'B', 'R')
        assert 'alpha' not in [c.name for c in file.colorinterp]


def test_the_first_release_has_no_validation(tmp_path, monkeypatch):
    root = write_download(tmp_path / 'in')
    (root / 'val_filenames.lst').unlink()
    with pytest.raises(DataError, match='expected 6 sites, found 5'):
        convert_treesatai(str(root), str(tmp_path / 'out'), dates=1)
    monkeypatch.setattr(treesatai, 'SITES', 5)
    report = convert_treesatai(str(root), str(tmp_path / 'out'), dates=1)
    assert {result.record['tile']['split']
            for result in report.results.values()} == {'train', 'test'}


def test_clearest_dates_of_a_series_of_clouds():
    assert clearest_dates(np.ones(5), 3).tolist() == [0]
    assert clearest_dates(np.array([.5, 0, 1, 1, .2]), 9).tolist() == [
        0, 1, 4]


def rewrite(path, name, value):
    with h5py.File(path, 'a') as file:
        del file[name]
        if value is not None:
            file[name] = value


SERIES = 'sentinel-ts/Abies_alba_1_1005_WEFL_NLF_2020.h5'


@pytest.mark.parametrize('spoil, words', [
    (lambda r: (r / SERIES).write_bytes(b'no HDF5'), 'expected an HDF5 file'),
    (lambda r: rewrite(r / SERIES, 'sen-1-asc-data', None),
     r'expected sen-1-asc-data \(T, 2, H, W\)'),
    (lambda r: rewrite(r / SERIES, 'sen-2-masks', np.zeros((3, 2, 6, 6))),
     r'expected sen-2-masks .* found \(3, 2, 6, 6\)'),
    (lambda r: rewrite(r / SERIES, 'sen-2-products', ['S2A_nothing'] * 8),
     'a product with its day'),
    (lambda r: (r / SERIES).unlink(),
     "train_filenames.lst, line 1: expected 'Abies_alba_1_1005_WEFL_NLF"),
    (lambda r: (r / 'test_filenames.lst').write_text(
        'Acer_sp_2_7_BI_NLF.tif\n'),
     "train_filenames.lst, line 2: .* is there twice, also in test"),
    (lambda r: shutil.copytree(r / 'aerial', r / 'aerial_copy'),
     "aerial_copy/.*is there twice, also as .*aerial/"),
    (lambda r: (r / 'test_filenames.lst').unlink(), 'found 0'),
    (lambda r: (r / 'labels' / LABELS).write_text('{}'),
     'genera of TreeSatAI, found None'),
    (lambda r: (r / 'labels' / LABELS).write_text(json.dumps(
        {f'{NAMES["test"][0]}.tif': [['Yew', 1]]})), "found .'Yew'")])
def test_damage_is_named(tmp_path, spoil, words):
    root = write_download(tmp_path / 'in')
    spoil(root)
    with pytest.raises(DataError, match=words):
        convert_treesatai(str(root), str(tmp_path / 'out'), dates=2)


def test_a_part_and_a_bad_site(tmp_path):
    root = write_download(tmp_path / 'in')
    (root / SERIES).unlink()
    (root / 'aerial/Acer_sp_2_7_BI_NLF.tif').write_bytes(b'')
    report = convert_treesatai(str(root), str(tmp_path / 'out'), dates=2,
                               partial=True, skip_bad=True)
    assert len(report.results) == 4 and list(report.bad) == [
        'Acer_sp_2_7_BI_NLF']
    with pytest.raises(ValueError, match='dates=0'):
        convert_treesatai(str(root), str(tmp_path / 'out'), dates=0)


def test_the_config_trains_tests_and_does_without_a_sensor(converted,
                                                           tmp_path):
    pytest.importorskip('mmpretrain')
    cfg = Config.fromfile(str(ROOT / CONFIG))
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(converted)
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    assert tuple(cfg.test_dataloader.dataset.metainfo.classes) == CLASSES
    cfg.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    cfg.model.neck.in_channels = (384, )
    cfg.model.neck.fusion.update(embed_dims=32, depth=1, num_heads=2)
    cfg.model.head.in_channels = 32
    cfg.train_cfg.update(max_iters=3, val_interval=3)
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.visualization.draw = True
    cfg.work_dir = str(tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3
    assert all(math.isfinite(loss) for loss in losses)
    # Only Tilia is there to be found.
    assert 0 <= runner.test()['multi-label/mAP'] <= 100
    assert len(list(tmp_path.glob('*/vis_data/vis_image/*.png'))) == 2
    model = runner.model.eval()
    whole = model.test_step(next(iter(runner.test_dataloader)))
    sensors = ('aerial_rgbn', 's2_l2a', 's1_grd')
    for absent in sensors:
        left = [sensor for sensor in sensors if sensor != absent]
        loader = cfg.test_dataloader.copy()
        loader.dataset.sensors = loader.dataset.pipeline[0].sensors = left
        batch = next(iter(runner.build_dataloader(loader)))
        for sample, before in zip(model.test_step(batch), whole,
                                  strict=True):
            assert sample.pred_score.isfinite().all()
            assert not sample.pred_score.equal(before.pred_score)
