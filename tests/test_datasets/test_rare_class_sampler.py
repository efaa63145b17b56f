# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Counting pixels of classes, and drawing samples by class."""

import importlib.util
import itertools
import json
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, ClassBalancedDataset, RepeatDataset
from PIL import Image

from mmskysense.datasets import (
    MultiSensorClsDataset,
    MultiSensorSegDataset,
    RareClassSampler,
    SceneDataset,
)
from mmskysense.datasets.class_pixels import (
    count_class_pixels,
    read_class_pixels,
    write_class_pixels,
)

ROOT = Path(__file__).parents[2]
CLASSES = ('field', 'water', 'road')
LOAD = dict(type='mmskysense.LoadGeoTIFFAnnotations')
# Pixels of each class in four labels of 10 x 10; ten of 255 in each.
PIXELS = [[90, 0, 0], [80, 10, 0], [85, 0, 5], [90, 0, 0]]


@pytest.fixture
def segmentation(tmp_path):
    """A function that builds the data set of four labels."""
    (tmp_path / 'label').mkdir(exist_ok=True)
    for number, counts in enumerate(PIXELS):
        label = np.repeat([0, 1, 2, 255], [*counts, 100 - sum(counts)])
        Image.fromarray(label.reshape(10, 10).astype('uint8')).save(
            tmp_path / f'label/{number}.png')

    def build(root=tmp_path, pipeline=(LOAD, ), **kwargs):
        return MultiSensorSegDataset(
            sensors=('hr_rgb', ), data_root=str(root), check_files=False,
            data_prefix=dict(hr_rgb='image', seg_map='label'),
            suffixes=dict(seg_map='.png'), pipeline=list(pipeline),
            metainfo=dict(classes=CLASSES), **kwargs)

    return build


@pytest.fixture
def scenes(tmp_path):
    """Nine images of one class and one of another; the third is empty."""
    for number in range(10):
        path = tmp_path / 'scenes' / CLASSES[number == 9] / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return SceneDataset(data_root=str(tmp_path), data_prefix='scenes',
                        metainfo=dict(classes=CLASSES))


def drawn(sampler, number=4000):
    counts = Counter(itertools.islice(iter(sampler), number))
    return {index: count / number for index, count in counts.items()}


def test_pixels_are_counted_as_the_pipeline_loads_them(segmentation):
    dataset = segmentation()
    np.testing.assert_array_equal(count_class_pixels(dataset), PIXELS)
    np.testing.assert_array_equal(
        count_class_pixels(RepeatDataset(dataset, 2)), PIXELS * 2)
    shifted = segmentation(label_map={0: 1, 1: 0})
    np.testing.assert_array_equal(
        count_class_pixels(shifted), np.array(PIXELS)[:, [1, 0, 2]])
    without_zero = segmentation(reduce_zero_label=True)
    np.testing.assert_array_equal(
        count_class_pixels(without_zero)[:, :2], np.array(PIXELS)[:, 1:])


def test_the_hosts_own_data_set_and_loader(segmentation, tmp_path):
    datasets = pytest.importorskip('mmseg.datasets')
    segmentation()
    (tmp_path / 'image').mkdir()
    for number in range(4):
        (tmp_path / f'image/{number}.png').touch()
    dataset = datasets.BaseSegDataset(
        data_root=str(tmp_path), img_suffix='.png', seg_map_suffix='.png',
        data_prefix=dict(img_path='image', seg_map_path='label'),
        metainfo=dict(classes=CLASSES),
        pipeline=[dict(type='mmseg.LoadAnnotations')])
    np.testing.assert_array_equal(count_class_pixels(dataset), PIXELS)


def test_a_file_of_counts_serves_other_runs(segmentation, tmp_path):
    write_class_pixels(segmentation(), tmp_path / 'out' / 'counts.json')
    (tmp_path / 'moved').mkdir()
    (tmp_path / 'label').rename(tmp_path / 'moved/label')
    part = segmentation(tmp_path / 'moved', indices=2)
    np.testing.assert_array_equal(
        read_class_pixels(part, tmp_path / 'out/counts.json'), PIXELS[:2])


@pytest.mark.parametrize('change,part', [
    (lambda c: c['pixels'].pop('label/2.png'), "no counts of 'label/2.png'"),
    (lambda c: c.update(classes=['field']), r"counts classes \['field'\]"),
    (lambda c: c.pop('pixels'), 'expected JSON')])
def test_counts_of_something_else_are_refused(segmentation, tmp_path, change,
                                              part):
    path = tmp_path / 'counts.json'
    write_class_pixels(segmentation(), path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=part):
        RareClassSampler(segmentation(), counts=path)


def test_missing_counts_are_refused(segmentation):
    with pytest.raises(FileNotFoundError, match='count_class_pixels.py'):
        RareClassSampler(segmentation(), counts='absent.json')


@pytest.mark.parametrize('temperature', [None, 0.5, 0.05])
def test_classes_are_drawn_by_their_share(segmentation, temperature):
    sampler = RareClassSampler(segmentation(), temperature, seed=0)
    shares = np.sum(PIXELS, 0) / np.sum(PIXELS)
    likely = np.exp((1 - shares) / (temperature or 0.1))
    likely /= likely.sum()
    np.testing.assert_allclose(sampler.probabilities, likely)
    found = drawn(sampler)
    # Every label has fields, so a quarter of those draws goes to each.
    expected = [likely[0] / 4] * 4 + np.array([0, likely[1], likely[2], 0])
    for index in range(4):
        assert found.get(index, 0) == pytest.approx(expected[index], abs=0.03)
    assert len(sampler) == 4


def test_a_label_needs_enough_pixels(segmentation):
    sampler = RareClassSampler(segmentation(), min_pixels=86)
    assert [list(samples) for samples in sampler.samples_of_class] == [
        [0, 3], [1], [2]]


def test_scene_classes_are_equally_likely(scenes):
    sampler = RareClassSampler(scenes, seed=0)
    np.testing.assert_allclose(sampler.probabilities, [0.5, 0.5, 0])
    found = drawn(sampler)
    lonely = next(i for i in range(10) if scenes.get_cat_ids(i) == [1])
    assert found[lonely] == pytest.approx(0.5, abs=0.03)
    sharp = RareClassSampler(scenes, temperature=0.1)
    assert sharp.probabilities[1] > 0.99


class Boxes(BaseDataset):
    """Samples as mmdet's: the key of a label map, with nothing in it."""

    METAINFO = dict(classes=CLASSES)

    def load_data_list(self):
        return [dict(img_path='a.png', seg_map_path=None,
                     instances=[dict(bbox_label=int(n == 3))])
                for n in range(4)]

    def get_cat_ids(self, idx):
        return [entry['bbox_label']
                for entry in self.get_data_info(idx)['instances']]


def test_detection_draws_by_the_classes_of_boxes():
    sampler = RareClassSampler(Boxes(), seed=0)
    assert sampler.probabilities.tolist() == [0.5, 0.5, 0]
    assert sampler.samples_of_class[1].tolist() == [3]


def test_processes_share_one_sequence_and_a_resumed_run_goes_on(
        scenes, monkeypatch):
    whole = list(itertools.islice(RareClassSampler(scenes, seed=3), 12))
    resumed = RareClassSampler(scenes, seed=3)
    resumed.skip(4)
    assert list(itertools.islice(resumed, 8)) == whole[4:]
    parts = []
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info',
                            lambda rank=rank: (rank, 2))
        parts.append(list(itertools.islice(
            RareClassSampler(scenes, seed=3), 6)))
    assert [n for pair in zip(*parts, strict=True) for n in pair] == whole
    other = list(itertools.islice(RareClassSampler(scenes, seed=4), 12))
    assert other != whole


@pytest.mark.parametrize('options,part', [
    (dict(temperature=0), 'temperature=0'), (dict(min_pixels=0), 'min_pixels'),
    (dict(shuffle=False), 'shuffle=False'),
    (dict(counts='a.json'), 'no label map')])
def test_impossible_options_are_refused(scenes, options, part):
    with pytest.raises(ValueError, match=part):
        RareClassSampler(scenes, **options)


def test_a_pipeline_without_labels_is_refused(segmentation):
    with pytest.raises(ValueError, match='pipeline that loads labels'):
        RareClassSampler(segmentation(pipeline=()))


class Plain(BaseDataset):
    """Samples with a label map's name, or nothing."""

    def load_data_list(self):
        return [dict(gt_score=np.array([1, 0, 1]))]


def test_mmengines_class_balanced_data_set(segmentation, scenes):
    """Rare classes are repeated; all of our data sets say their classes."""
    balanced = ClassBalancedDataset(scenes, oversample_thr=0.5)
    again = Counter(balanced.get_data_info(i)['gt_label']
                    for i in range(len(balanced)))
    # sqrt(0.5 / 0.1) = 2.2 times, rounded up.
    assert again == {0: 9, 1: math.ceil(math.sqrt(5))}
    labels = segmentation()
    assert [labels.get_cat_ids(i) for i in range(4)] == [
        [0], [0, 1], [0, 2], [0]]
    assert len(ClassBalancedDataset(labels, oversample_thr=0.9)) == 6
    assert MultiSensorClsDataset.get_cat_ids(Plain(), 0) == [0, 2]


def test_the_command_writes_what_the_sampler_reads(sample_world, tmp_path,
                                                   capsys, monkeypatch):
    pytest.importorskip('mmseg')
    tool = ROOT / 'tools/dataset_converters/count_class_pixels.py'
    spec = importlib.util.spec_from_file_location('count_class_pixels', tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = ROOT / 'configs/segmentation/skysense_v2_tiny_upernet_1xb4-2k_' \
        'sample-world-256x256.py'
    out = tmp_path / 'counts.json'
    arguments = ['tool', str(config), str(out), '--cfg-options']
    monkeypatch.setattr(
        sys, 'argv', [*arguments, f'data_root={sample_world}'])
    module.main()
    assert 'building: ' in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert len(content['pixels']) == 6 and len(content['classes']) == 7
    monkeypatch.setattr(sys, 'argv', [*arguments, 'data_root=absent'])
    with pytest.raises(SystemExit, match='absent'):
        module.main()
