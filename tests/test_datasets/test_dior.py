# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""DIOR and DIOR-R from the published layout to the metric."""

import json
import math
import multiprocessing.dummy
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.dior import (
    CLASSES,
    FOLDERS,
    convert_dior,
)

ROOT = Path(__file__).parents[2]
CONFIG = ('configs/detection/'
          'skysense_v2_base_faster-rcnn_fpn_8xb2-12e_dior-800x800.py')
ORIENTED = ('configs/oriented_detection/'
            'skysense_v2_base_oriented-rcnn_fpn_8xb2-12e_dior-r-800x800.py')
SIZE = 64
# Name, difficult, box; the last three: outside in part, no area, outside.
OBJECTS = (('airplane', 0, (10, 12, 30, 40)), ('ship', 1, (40, 40, 60, 62)),
           ('Expressway-Service-area', 0, (-5, 50, 20, 70)),
           ('vehicle', 0, (7, 7, 7, 20)), ('windmill', 0, (70, 70, 80, 80)))
LISTS = dict(train=('00001', ), val=('00002', ), test=('00003', '00004'))


def xml_of(name, difficult, box, boxes):
    left, top, right, bottom = box
    if boxes == 'horizontal':
        inner = (f'<bndbox><xmin>{left}</xmin><ymin>{top}</ymin>'
                 f'<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>')
    else:
        # The airplane's corners are in the order of a bow tie.
        order = [(left, top), (right, top), (right, bottom), (left, bottom)]
        if name == 'airplane':
            order[2:] = order[:1:-1]
        tags = ('left_top', 'right_top', 'right_bottom', 'left_bottom')
        inner = '<robndbox>' + ''.join(
            f'<x_{tag}>{x}</x_{tag}><y_{tag}>{y}</y_{tag}>'
            for tag, (x, y) in zip(tags, order, strict=True)) + '</robndbox>'
    return (f'<object><name>{name}</name><difficult>{difficult}</difficult>'
            f'{inner}</object>')


def write_download(root):
    """The published layout; image 00004 has no objects."""
    random = np.random.default_rng(0)
    for split, names in LISTS.items():
        listed = root / 'ImageSets/Main' / f'{split}.txt'
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text('\n'.join(names) + '\n')
        part = 'test' if split == 'test' else 'trainval'
        for name in names:
            image = root / f'JPEGImages-{part}' / f'{name}.jpg'
            image.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(image), random.integers(
                0, 255, (SIZE, SIZE, 3), np.uint8))
            for boxes, folder in FOLDERS.items():
                label = root / 'Annotations' / folder / f'{name}.xml'
                label.parent.mkdir(parents=True, exist_ok=True)
                found = () if name == '00004' else OBJECTS
                label.write_text('<annotation>' + ''.join(
                    xml_of(*entry, boxes) for entry in found) +
                    '</annotation>')
    return root


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    root = tmp_path_factory.mktemp('dior')
    write_download(root / 'in')
    for boxes in FOLDERS:
        convert_dior(str(root / 'in'), str(root / boxes), boxes, partial=True)
    return root


def test_coco(converted):
    found = json.loads((converted / 'horizontal/trainval.json').read_text())
    assert [image['file_name'] for image in found['images']] == [
        '00001.jpg', '00002.jpg']
    first = found['annotations'][:3]
    assert [entry['bbox'] for entry in first] == [
        [10, 12, 20, 28], [40, 40, 20, 22], [0, 50, 20, 14]]
    assert [entry['iscrowd'] for entry in first] == [0, 1, 0]
    names = {entry['id']: entry['name'] for entry in found['categories']}
    assert names[first[2]['category_id']] == 'expressway-service-area'
    ids = [entry['id'] for entry in found['annotations']]
    assert len(ids) == 6 == len(set(ids))
    test = json.loads((converted / 'horizontal/test.json').read_text())
    assert len(test['images']) == 2 and len(test['annotations']) == 3
    summary = json.loads((converted / 'horizontal/conversion.json')
                         .read_text())
    assert summary['objects']['ship'] == 3 and summary['without_objects'] == 1
    assert summary['changed_objects'] == {
        'beyond the image: clipped': 3, 'outside the image: left out': 3,
        'without area: left out': 3}
    lines = (converted / 'horizontal/changed_objects.txt').read_text()
    assert len(lines.splitlines()) == 9
    assert '00001.xml, line 1: object ' in lines
    crossed = json.loads((converted / 'oriented/conversion.json')
                         .read_text())['changed_objects']
    assert crossed['sides cross: corners put in order'] == 3


def test_dota_text(converted):
    lines = (converted / 'oriented/labels/test/00003.txt').read_text()
    assert lines.splitlines()[0] == '10 12 30 12 30 40 10 40 airplane 0'
    assert lines.splitlines()[1].endswith(' ship 1')
    assert len(lines.splitlines()) == 3
    assert (converted / 'oriented/labels/test/00004.txt').read_text() == ''


LABEL = 'Annotations/Horizontal Bounding Boxes/00001.xml'


@pytest.mark.parametrize('spoil, words', [
    (lambda r: (r / LABEL).write_text('<annotation>\n<obj'),
     r'00001.xml.*expected XML'),
    (lambda r: (r / LABEL).unlink(), '00001.xml: expected this file'),
    (lambda r: (r / LABEL).write_text('<kml><object/></kml>'),
     '00001.xml, line 1: expected annotation, found kml with object'),
    (lambda r: (r / LABEL).write_text(
        '<annotation>' + xml_of('zebra', 0, (1, 1, 2, 2), 'horizontal') +
        '</annotation>'),
     "found 'zebra' in object 1"),
    (lambda r: (r / LABEL).write_text(
        '<annotation>' + xml_of('ship', 0, (1, 'x', 2, 2), 'horizontal') +
        '</annotation>'),
     'expected bndbox with xmin'),
    (lambda r: (r / LABEL).write_text(
        '<annotation>' + xml_of('ship', 0, (1, 'nan', 2, 2), 'horizontal') +
        '</annotation>'),
     'expected numbers in object 1'),
    (lambda r: (r / 'JPEGImages-test/00003.jpg').write_bytes(b'no image'),
     '00003.jpg'),
    (lambda r: (r / 'ImageSets/Main/val.txt').write_text('00001\n'),
     "val.txt, line 1: '00001' is there twice, also in train.txt")])
def test_damage_is_named(tmp_path, spoil, words):
    root = write_download(tmp_path / 'in')
    spoil(root)
    with pytest.raises(DataError, match=words):
        convert_dior(str(root), str(tmp_path / 'out'), partial=True)


def test_refusals(tmp_path):
    root = write_download(tmp_path / 'in')
    with pytest.raises(DataError, match='1 of 5862 in train'):
        convert_dior(str(root), str(tmp_path / 'out'))
    with pytest.raises(ValueError, match="boxes='round'"):
        convert_dior(str(root), str(tmp_path / 'out'), 'round')
    (root / LABEL).unlink()
    report, _ = convert_dior(str(root), str(tmp_path / 'out'), partial=True,
                             skip_bad=True)
    assert list(report.bad) == ['train/00001']


def shrink(name, data_root, work_dir):
    cfg = Config.fromfile(str(ROOT / name))
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(data_root)
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        for transform in loader.dataset.pipeline:
            if 'scale' in transform:
                transform.scale = (96, 96)
    cfg.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    cfg.model.neck.in_channels = [48, 96, 192, 384]
    cfg.model.roi_head.bbox_head.fc_out_channels = 32
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(work_dir)
    return cfg


def test_the_config_trains_validates_and_tests(converted, tmp_path):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmcv._ext')
    cfg = shrink(CONFIG, converted / 'horizontal', tmp_path)
    assert tuple(cfg.metainfo.classes) == CLASSES
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 4
    assert all(math.isfinite(loss) for loss in losses)
    scores = runner.test()
    assert 0 <= scores['pascal_voc/mAP'] <= 1
    # The truth is in the pixels of the file, whatever the input's size.
    sample = runner.test_dataloader.dataset[0]['data_samples']
    assert sample.img_shape == (96, 96)
    assert sample.gt_instances.bboxes.tensor[0].tolist() == [10, 12, 30, 40]
    assert len(sample.ignored_instances) == 1


def test_the_oriented_config_trains_validates_and_tests(
        converted, tmp_path, monkeypatch):
    pytest.importorskip('mmrotate')
    pytest.importorskip('mmcv._ext')
    # Four fresh processes for two images take half a minute: threads instead.
    monkeypatch.setattr('mmrotate.evaluation.functional.mean_ap.get_context',
                        lambda kind: multiprocessing.dummy)
    cfg = shrink(ORIENTED, converted / 'oriented', tmp_path)
    assert tuple(cfg.metainfo.classes) == CLASSES
    for stage in (cfg.model.train_cfg.rpn_proposal, cfg.model.test_cfg.rpn,
                  cfg.model.test_cfg.rcnn):
        stage.update(nms_pre=50, max_per_img=50)
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 4
    assert all(math.isfinite(loss) for loss in losses)
    scores = runner.test()
    assert 0 <= scores['dota/mAP'] <= 1
    samples = {sample.img_id: sample for sample in (
        entry['data_samples'] for entry in runner.test_dataloader.dataset)}
    assert len(samples['00004'].gt_instances) == 0
    sample = samples['00003']
    assert len(sample.gt_instances) == 2 and \
        len(sample.ignored_instances) == 1
    # The airplane's bow tie has become its rectangle of 20 x 28 pixels.
    box = sample.gt_instances.bboxes.tensor[0]
    assert box[:2].tolist() == pytest.approx([20, 26], abs=0.01)
    assert sorted(box[2:4].tolist()) == pytest.approx([20, 28], abs=0.01)
