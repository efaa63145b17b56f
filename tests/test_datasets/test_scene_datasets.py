# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""AID and RESISC-45 from the published layout to the overall accuracy."""

import dataclasses
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.aid import AID, convert_aid
from mmskysense.datasets.conversion.resisc45 import RESISC45, convert_resisc45
from mmskysense.datasets.conversion.scene_splits import (
    convert_scenes,
    stratified_lists,
)

ROOT = Path(__file__).parents[2]
COLLECTIONS = dict(aid=AID, resisc45=RESISC45)
CONVERTERS = dict(aid=convert_aid, resisc45=convert_resisc45)
CONFIGS = sorted(
    path for name in COLLECTIONS
    for path in (ROOT / 'configs/classification').glob(f'*_{name}-*.py'))


def write_download(root, collection, classes=2, count=4):
    """Class folders of JPEGs of the published size and names."""
    random = np.random.default_rng(0)
    for label in list(collection.counts)[:classes]:
        (root / label).mkdir(parents=True)
        for number in range(1, count + 1):
            image = random.integers(0, 255, (8, 8, 3), np.uint8)
            cv2.imwrite(str(root / label / f'{label.lower()}_{number}.jpg'),
                        cv2.resize(image, (collection.size, ) * 2))
        (root / label / 'Thumbs.db').write_bytes(b'')
    return root


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    """Dataset -> folder of its converted miniature."""
    folders = {}
    for name, collection in COLLECTIONS.items():
        root = tmp_path_factory.mktemp(name)
        write_download(root / 'download', collection)
        CONVERTERS[name](str(root / 'download'), str(root / 'data'),
                         partial=True)
        folders[name] = root / 'data'
    return folders


@pytest.mark.parametrize('name, classes, images', [
    ('aid', 30, 10000), ('resisc45', 45, 31500)])
def test_published_numbers(name, classes, images):
    counts = COLLECTIONS[name].counts
    assert (len(counts), sum(counts.values())) == (classes, images)
    # In order of ids, as folders are sorted, and as the config has them.
    assert list(counts) == sorted(counts)
    cfg = Config.fromfile(str(ROOT / f'configs/_base_/datasets/{name}.py'))
    assert tuple(cfg.classes) == tuple(counts)


def test_lists_are_disjoint_stratified_and_nested():
    names = {label: [f'{label}/{i:03}.jpg' for i in range(count)]
             for label, count in (('a', 100), ('b', 50), ('c', 2))}
    lists = stratified_lists(names, (20, 50), seed=3)
    for ratio, sizes in ((20, (20, 10, 1)), (50, (50, 25, 1))):
        train, test = lists[f'train_{ratio}'], lists[f'test_{ratio}']
        assert not set(train) & set(test)
        assert len(train) + len(test) == 152
        assert tuple(sum(name[0] == label for name in train)
                     for label in 'abc') == sizes
    assert set(lists['train_20']) < set(lists['train_50'])
    assert lists == stratified_lists(names, (20, 50), seed=3)
    assert lists != stratified_lists(names, (20, 50), seed=4)
    # A class less leaves the others as they are, in any order of names.
    fewer = stratified_lists({'b': names['b'][::-1]}, (20, ), seed=3)
    assert set(fewer['train_20']) < set(lists['train_20'])


@pytest.mark.parametrize('names, ratios, message', [
    ({'a': '12'}, (0, ), 'ratio 0'), ({'a': '12'}, (100, ), 'ratio 100'),
    ({'a': '1'}, (20, ), "class 'a': expected 2 images or more")])
def test_impossible_splits(names, ratios, message):
    with pytest.raises(ValueError, match=message):
        stratified_lists(names, ratios)


def test_converted(converted):
    root = converted['aid']
    lists = {path.stem: path.read_text().split()
             for path in (root / 'splits').iterdir()}
    assert {k: len(v) for k, v in lists.items()} == dict(
        train_20=2, test_20=6, train_50=4, test_50=4)
    assert all((root / 'images' / name).is_file()
               for name in lists['train_50'])
    summary = json.loads((root / 'conversion.json').read_text())
    assert summary['classes'] == dict(Airport=4, BareLand=4)


def small(tmp_path):
    collection = dataclasses.replace(AID, size=16)
    return write_download(tmp_path / 'in', collection), collection


@pytest.mark.parametrize('spoil, words', [
    (lambda r: (r / 'Airport/airport_1.jpg').write_bytes(b'no image'),
     'airport_1.jpg'),
    (lambda r: cv2.imwrite(str(r / 'Airport/airport_2.jpg'),
                           np.zeros((16, 20, 3), np.uint8)), '16 x 20'),
    (lambda r: cv2.imwrite(str(r / 'BareLand/bareland_3.jpg'),
                           np.zeros((16, 16), np.uint8)), 'found 1 of uint8'),
    (lambda r: (r / 'Volcano').mkdir(), "the folder 'Volcano'")])
def test_damage_is_named(tmp_path, spoil, words):
    root, collection = small(tmp_path)
    spoil(root)
    with pytest.raises(DataError, match=words):
        convert_scenes(str(root), str(tmp_path / 'out'), collection,
                       partial=True)


def test_bad_images_are_left_out_on_request(tmp_path):
    root, collection = small(tmp_path)
    (root / 'Airport/airport_1.jpg').write_bytes(b'no image')
    options = dict(partial=True, skip_bad=True)
    report, summary = convert_scenes(
        str(root), str(tmp_path / 'out'), collection, **options)
    assert list(report.bad) == ['Airport/airport_1.jpg']
    assert summary['classes'] == dict(Airport=3, BareLand=4)
    listed = (tmp_path / 'out/splits/test_20.txt').read_text()
    assert 'airport_1.jpg' not in listed
    again, _ = convert_scenes(
        str(root), str(tmp_path / 'out'), collection, **options)
    assert again.resumed == 7


def test_a_part_or_a_wrong_folder_is_refused(tmp_path):
    root, collection = small(tmp_path)
    with pytest.raises(DataError, match='4 of 360 in Airport'):
        convert_scenes(str(root), str(tmp_path / 'out'), collection)
    for folder in (tmp_path, tmp_path / 'absent'):
        with pytest.raises(DataError, match='30 class folders of AID'):
            convert_scenes(str(folder), str(tmp_path / 'out'), collection)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_the_config_trains_validates_and_tests(path, converted, tmp_path):
    pytest.importorskip('mmpretrain')
    cfg = Config.fromfile(str(path))
    name = 'aid' if '_aid-' in path.name else 'resisc45'
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(converted[name])
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        for transform in loader.dataset.pipeline:
            if 'scale' in transform:
                transform.scale = 64
    assert cfg.test_dataloader.dataset.ann_file == \
        cfg.train_dataloader.dataset.ann_file.replace('train', 'test')
    cfg.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    cfg.model.head.in_channels = 384
    cfg.train_dataloader.dataset.indices = 2
    cfg.val_dataloader.dataset.indices = 2
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.visualization.draw = True
    cfg.work_dir = str(tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 4
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert all(math.isfinite(loss) for loss in losses)
    scores = runner.test()
    assert 0 <= scores['accuracy/top1'] <= 100
    assert list(tmp_path.glob('*/vis_data/vis_image/*.png'))
    # The test list validates: the last checkpoint counts.
    assert list(tmp_path.glob('epoch_2.pth'))
    assert not list(tmp_path.glob('best_*'))


def test_there_is_a_config_for_each_row():
    assert len(CONFIGS) == 4
