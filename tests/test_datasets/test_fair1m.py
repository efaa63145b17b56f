# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""FAIR1M from the published layout to the metric."""

import json
import math
import multiprocessing.dummy
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from mmengine.config import Config
from mmengine.runner import Runner

from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.fair1m import (
    CLASSES,
    OrientedObject,
    convert_fair1m,
    find_items,
    objects_of_tiles,
)
from mmskysense.raster.grid import GridWindow

ROOT = Path(__file__).parents[2]
CONFIG = ('configs/oriented_detection/'
          'skysense_v2_base_oriented-rcnn_fpn_8xb2-12e_fair1m-1024x1024.py')
SIZE = 64
# 96 pixels wide: two tiles of 64 that share 32.
HEIGHT, WIDTH = 64, 96
# A diamond, a bow tie, a bridge over both tiles, a ship outside in part.
OBJECTS = (('Small Car', ((16, 8), (24, 16), (16, 24), (8, 16))),
           ('Boeing737', ((40, 30), (60, 30), (40, 50), (60, 50))),
           ('Bridge', ((2, 56), (94, 56), (94, 60), (2, 60))),
           ('other-ship', ((88, 4), (104, 4), (104, 12), (88, 12))))
# Labels lie in folders of both published names; image 7 has no object.
FOLDERS = {'train/part1': ('labelXml', ('1', )),
           'train/part2': ('labelXmls', ('2', )),
           'validation': ('labelXmls', ('3', '7')),
           'test': (None, ('4', ))}


def xml_of(objects, unit='pixel', again=True):
    text = '<annotation><source><filename>1.tif</filename></source><objects>'
    for name, corners in objects:
        points = [*corners, corners[0]] if again else corners
        text += (f'<object><coordinate>{unit}</coordinate>'
                 '<type>rectangle</type><possibleresult>'
                 f'<name>{name}</name></possibleresult><points>' + ''.join(
                     f'<point>{x:.6f},{y:.6f}</point>' for x, y in points) +
                 '</points></object>')
    return text + '</objects></annotation>'


def write_download(root):
    random = np.random.default_rng(0)
    for folder, (labels, names) in FOLDERS.items():
        for name in names:
            image = root / folder / 'images' / f'{name}.tif'
            image.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(
                    image, 'w', driver='GTiff', count=3, height=HEIGHT,
                    width=WIDTH, dtype='uint8', crs='EPSG:32650',
                    transform=rasterio.Affine(.8, 0, 5e5, 0, -.8, 4e6)) as f:
                f.write(random.integers(0, 255, (3, HEIGHT, WIDTH), np.uint8))
            if labels:
                label = root / folder / labels / f'{name}.xml'
                label.parent.mkdir(exist_ok=True)
                label.write_text(xml_of(() if name == '7' else OBJECTS))
    return root


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    root = tmp_path_factory.mktemp('fair1m')
    write_download(root / 'in')
    convert_fair1m(str(root / 'in'), str(root / 'out'), SIZE, 32)
    return root / 'out'


def test_tiles_and_their_objects(converted):
    assert sorted(p.name for p in (converted / 'images/train').iterdir()) == [
        f'{n}__64__{x}___0.png' for n in (1, 2) for x in (0, 32)]
    left, right = (
        (converted / f'labels/train/1__64__{x}___0.txt').read_text()
        .splitlines() for x in (0, 32))
    assert left[0] == '16 8 24 16 16 24 8 16 Small-Car 0'
    # The bow tie is a rectangle now; the tile shows all of it.
    assert left[1] == '40 30 60 30 60 50 40 50 Boeing737 0'
    assert [line.split()[-2:] for line in left[2:]] == [['Bridge', '0']]
    # Two thirds of the bridge are in each tile: it is the first one's, and
    # marked in the other; half of the ship is enough where most of it is.
    assert [line.split()[-2:] for line in right] == [
        ['Boeing737', '0'], ['Bridge', '1'], ['other-ship', '0']]
    assert right[0].startswith('8 30 28 30')
    assert (converted / 'labels/val/7__64__0___0.txt').read_text() == ''
    assert (converted / 'labels/test/4__64__0___0.txt').read_text() == ''
    summary = json.loads((converted / 'conversion.json').read_text())
    assert summary['splits']['train']['objects'] == {
        'Small-Car': 2, 'Boeing737': 2, 'Bridge': 2, 'other-ship': 2}
    assert summary['splits']['test'] == dict(
        images=1, tiles=2, objects={}, outside=0)
    pixels = cv2.imread(str(converted / 'images/test/4__64__32___0.png'))
    assert pixels.shape == (64, 64, 3)


def test_no_object_is_lost_between_tiles():
    random = np.random.default_rng(0)
    windows = [GridWindow(row, column, 100, 100)
               for row in (0, 80, 160) for column in (0, 80, 160)]
    objects = []
    for _ in range(200):
        x, y = random.uniform(5, 255, 2)
        w, h = random.uniform(3, 15, 2)
        objects.append(OrientedObject(0, (
            x - w, y - h, x + w, y - h, x + w, y + h, x - w, y + h)))
    found = set()
    for window, tile in zip(windows, objects_of_tiles(objects, windows),
                            strict=True):
        for entry, marked in tile:
            x, y = (np.mean(entry.corners[axis::2]) for axis in (0, 1))
            if not marked:
                found.add((round(x + window.column, 6),
                           round(y + window.row, 6)))
    assert len(found) == 200


def test_an_object_longer_than_two_tiles_is_owned_where_its_centre_is():
    windows = [GridWindow(0, column, 100, 100) for column in (0, 80, 160)]
    bridge = OrientedObject(0, (0, 50, 260, 50, 260, 55, 0, 55))
    tiles = objects_of_tiles([bridge], windows)
    assert [[marked for _, marked in tile] for tile in tiles] == [
        [True], [False], [True]]


@pytest.mark.parametrize('text, words', [
    ('<annotation>\n<obj', '1.xml.*expected XML'),
    (xml_of([('Zeppelin', OBJECTS[0][1])]),
     "1.xml, line 1: .*found 'Zeppelin' in object 1"),
    ('<annotation>\n<objekts/></annotation>',
     '1.xml, line 1: expected annotation with objects, found annotation with '
     'objekts'),
    (xml_of(OBJECTS[:1], unit='geography'), "pixel', found 'geography'"),
    (xml_of([('Van', ((1, 1), (5, 1), (5, 5)))]), 'four corners'),
    (xml_of([('Van', ((1, 1), (5, 1), (9, 1), (7, 1)))]), 'a box with area'),
    (xml_of([('Van', ((1, 1), (math.nan, 1), (9, 1), (7, 1)))]),
     'four corners')])
def test_damaged_labels_are_named(tmp_path, text, words):
    root = write_download(tmp_path / 'in')
    (root / 'train/part1/labelXml/1.xml').write_text(text)
    with pytest.raises(DataError, match=words):
        convert_fair1m(str(root), str(tmp_path / 'out'), SIZE, 32)
    report, _ = convert_fair1m(str(root), str(tmp_path / 'out'), SIZE, 32,
                               skip_bad=True)
    assert list(report.bad) == ['train/1']


def test_damaged_folders_are_named(tmp_path):
    root = write_download(tmp_path / 'in')
    (root / 'test/images/4.tif').unlink()
    (root / 'test/images').rmdir()
    (root / 'test').rmdir()
    with pytest.raises(DataError, match='test: expected the test split'):
        find_items(root)
    (root / 'test/images').mkdir(parents=True)
    with pytest.raises(DataError, match=r'test: expected images/\*.tif in it'):
        find_items(root, partial=True)
    (root / 'test/images').rmdir()
    (root / 'test').rmdir()
    assert len(find_items(root, partial=True)) == 4
    copy = root / 'train/part2/images/1.tif'
    copy.write_bytes((root / 'train/part1/images/1.tif').read_bytes())
    with pytest.raises(DataError, match="'1' is there twice"):
        find_items(root, partial=True)
    copy.unlink()
    (root / 'validation/labelXmls/3.xml').unlink()
    with pytest.raises(DataError, match='3.tif: expected its label'):
        find_items(root, partial=True)


def test_a_label_without_its_image_and_an_object_outside(tmp_path):
    root = write_download(tmp_path / 'in')
    outside = ('Van', ((200, 200), (210, 200), (210, 210), (200, 210)))
    (root / 'train/part1/labelXml/1.xml').write_text(
        xml_of([*OBJECTS, outside]))
    _, summary = convert_fair1m(str(root), str(tmp_path / 'out'), SIZE, 32)
    assert summary['splits']['train']['outside'] == 1
    assert summary['changed_objects'] == {
        'outside the image: left out': 1,
        'sides cross: corners put in order': 3}
    lines = (tmp_path / 'out/changed_objects.txt').read_text().splitlines()
    assert lines[1].endswith('1.xml, line 1: object 5: outside the image: '
                             'left out')
    assert 'Van' not in summary['splits']['train']['objects']
    (root / 'validation/images/3.tif').unlink()
    with pytest.raises(DataError, match='3.xml: expected its image'):
        find_items(root)


def test_other_images_are_refused(tmp_path):
    root = write_download(tmp_path / 'in')
    with rasterio.open(
            root / 'train/part1/images/1.tif', 'w', driver='GTiff', count=4,
            height=8, width=8, dtype='uint8') as file:
        file.write(np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(DataError, match='3 bands of uint8, found 4 of uint8'):
        convert_fair1m(str(root), str(tmp_path / 'out'), SIZE, 32)


def test_the_config_trains_validates_tests_and_merges(
        converted, tmp_path, monkeypatch):
    pytest.importorskip('mmrotate')
    pytest.importorskip('mmcv._ext')
    # Four fresh processes for some tiles take half a minute: threads instead.
    monkeypatch.setattr('mmrotate.evaluation.functional.mean_ap.get_context',
                        lambda kind: multiprocessing.dummy)
    cfg = Config.fromfile(str(ROOT / CONFIG))
    assert tuple(cfg.metainfo.classes) == CLASSES
    assert len(cfg.metainfo.palette) == len(CLASSES) == 37
    assert cfg.model.roi_head.bbox_head.num_classes == 37
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.dataset.data_root = str(converted)
        # Formatting the colours takes most of a run's time: it is printed
        # and saved several times.
        del loader.dataset.metainfo['palette']
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        for transform in loader.dataset.pipeline:
            if 'scale' in transform:
                transform.scale = (SIZE, SIZE)
    cfg.model.backbone.update(arch='tiny', drop_path_rate=0.0)
    cfg.model.neck.in_channels = [48, 96, 192, 384]
    cfg.model.roi_head.bbox_head.fc_out_channels = 32
    for stage in (cfg.model.train_cfg.rpn_proposal, cfg.model.test_cfg.rpn,
                  cfg.model.test_cfg.rcnn):
        stage.update(nms_pre=50, max_per_img=50)
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 4
    assert all(math.isfinite(loss) for loss in losses)
    assert 0 <= runner.test()['dota/mAP'] <= 1
    dataset = runner.test_dataloader.dataset
    samples = {entry['data_samples'].img_id: entry['data_samples']
               for entry in dataset}
    assert len(samples['3__64__32___0'].ignored_instances) == 1
    assert len(samples['7__64__0___0'].gt_instances) == 0

    # The page's command for the test split.
    cfg.test_dataloader.dataset.ann_file = 'labels/test/'
    cfg.test_dataloader.dataset.data_prefix.img_path = 'images/test/'
    cfg.test_evaluator.update(merge_patches=True,
                              outfile_prefix=str(tmp_path / 'merged'))
    cfg.load_from = str(tmp_path / 'work/epoch_1.pth')
    cfg.experiment_name = 'merged'
    Runner.from_cfg(cfg).test()
    with zipfile.ZipFile(tmp_path / 'merged/merged.zip') as files:
        names = files.namelist()
        lines = [line.split() for name in names
                 for line in files.read(name).decode().splitlines()]
    assert f'Task1_{CLASSES[0]}.txt' in names and len(names) == 37
    assert lines and {line[0] for line in lines} == {'4'}
