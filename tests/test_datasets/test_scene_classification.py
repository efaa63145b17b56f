# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import pytest

from mmskysense.registry import DATASETS

CLASSES = ('bare ground', 'forest', 'water')


@pytest.fixture
def root(tmp_path):
    for name in ('forest/forest_1.jpg', 'forest/forest_2.jpg',
                 'bare_ground/bare_ground_1.jpg', 'forest/notes.txt'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def build(root, classes=CLASSES, **options):
    options.setdefault('data_prefix', 'images')
    return DATASETS.build(
        dict(
            type='mmskysense.SceneDataset',
            data_root=str(root),
            metainfo=dict(classes=classes),
            **options))


def labels(dataset) -> list[tuple[str, int]]:
    return [(sample['img_path'].rpartition('/')[2], sample['gt_label'])
            for sample in map(dataset.get_data_info, range(len(dataset)))]


def test_class_folders_and_a_class_without_images(root):
    assert labels(build(root)) == [('bare_ground_1.jpg', 0),
                                   ('forest_1.jpg', 1), ('forest_2.jpg', 1)]


@pytest.mark.parametrize('line', ['forest/forest_2.jpg', 'forest_2.jpg'])
def test_published_lists(root, line):
    (root / 'val.txt').write_text(f'{line}\n\nbare_ground_1.jpg\n')
    assert labels(build(root, ann_file='val.txt')) == [
        ('forest_2.jpg', 1), ('bare_ground_1.jpg', 0)]


@pytest.mark.parametrize('options, error, message', [
    (dict(data_prefix='absent'), FileNotFoundError, 'one sub-folder'),
    (dict(ann_file='absent.txt'), FileNotFoundError, 'correct ann_file'),
    (dict(classes=('forest', )), ValueError, 'correct metainfo.classes'),
    (dict(extensions=('.png', )), ValueError, 'found none'),
    (dict(with_label=False), ValueError, 'with_label=False'),
])
def test_refusals(root, options, error, message):
    with pytest.raises(error, match=message):
        build(root, **options)


def test_refuses_a_listed_image_that_is_not_there(root):
    (root / 'val.txt').write_text('water/water_9.jpg\n')
    with pytest.raises(FileNotFoundError, match='water_9.jpg: named in'):
        build(root, ann_file='val.txt')


def test_refuses_no_classes(root):
    with pytest.raises(ValueError, match='expected metainfo'):
        DATASETS.build(
            dict(type='mmskysense.SceneDataset', data_root=str(root)))
