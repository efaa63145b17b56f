# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData
from torch import nn

from mmskysense.evaluation.pixel_baselines import intersection_over_union
from mmskysense.evaluation.probing import (
    DenseOptions,
    ImageBatches,
    build_encoder,
    build_split,
    dense,
    find_dataset_config,
    is_segmentation,
    labelled_images,
    probe_segmentation,
    read_image_list,
    write_colour_maps,
)
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor

CLASSES = 3


class QuarterSize(nn.Module):
    """Features at stride 4: the colours themselves."""

    def dense(self, images):
        return nn.functional.avg_pool2d(images, 4)


def scenes(count, seed):
    """Blocks of 8 pixels of three colours; class 255 somewhere."""
    random = np.random.default_rng(seed)
    colours = np.array([[200, 20, 20], [20, 200, 20], [20, 20, 200]])
    samples = []
    for _ in range(count):
        blocks = random.integers(0, CLASSES, (4, 5))
        label = blocks.repeat(8, 0).repeat(8, 1)
        pixels = colours[label] + random.normal(0, 10, (*label.shape, 3))
        label[:2] = 255
        sample = BaseDataElement(gt_sem_seg=PixelData(
            data=torch.from_numpy(label)[None]))
        samples.append(dict(
            inputs=torch.from_numpy(pixels).permute(2, 0, 1).float(),
            data_samples=sample))
    return samples


def test_colours_are_told_apart_to_the_resolution_of_the_map():
    result = probe_segmentation(
        QuarterSize(), scenes(6, 0), scenes(4, 1),
        MultiSensorDataPreprocessor(pad_size_divisor=32), CLASSES,
        DenseOptions(pixels=1500))
    # Only pixels along the borders of blocks can be wrong.
    assert 0.85 < result['miou'] <= result['miou_ci95'][1]
    assert result['miou_ci95'][0] <= result['miou']
    assert result['ci95'][0] <= result['top1'] <= result['ci95'][1]
    assert (result['n_train'], result['n_test']) == (6, 4)
    assert len(result['iou']) == CLASSES and result['feature_dims'] == 3


def test_bootstrapped_iou_is_the_metrics():
    random = np.random.default_rng(0)
    confusion = random.integers(0, 50, (5, 4, 4))
    confusion[:, 3] = confusion[:, :, 3] = 0  # a class that is nowhere
    whole = dense._mean_iou(confusion[None])[0]
    assert whole == pytest.approx(np.nanmean(
        intersection_over_union(confusion.sum(0))))
    assert dense._pixel_accuracy(confusion[None])[0] == pytest.approx(
        np.trace(confusion.sum(0)) / confusion.sum())


@pytest.mark.parametrize('label, match', [
    (255, 'no labelled pixel'), (1, 'two classes'), (None, 'gt_sem_seg')])
def test_refusals(label, match):
    samples = scenes(3, 0)
    for sample in samples:
        if label is None:
            del sample['data_samples'].gt_sem_seg
        else:
            sample['data_samples'].gt_sem_seg.data[:] = label
    with pytest.raises(ValueError, match=match):
        probe_segmentation(QuarterSize(), samples, samples,
                           MultiSensorDataPreprocessor(), CLASSES,
                           DenseOptions())


BACKBONE = dict(
    type='mmskysense.SkySenseV2', sensor='hr_rgb',
    arch=dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8,
              window_size=4))
CONFIG = 'configs/classification/' \
    'skysense_v2_tiny_linear_1xb32-1k_sample-world-64x64.py'


@pytest.fixture
def config_path(request):
    return str(request.config.rootpath / CONFIG)


def test_sets_of_configs(sample_world, config_path):
    pytest.importorskip('mmpretrain')
    found = find_dataset_config('config', config_path,
                                dict(data_root=str(sample_world)))
    assert not is_segmentation(found)
    train, test = (labelled_images(found, split)
                   for split in ('train', 'test'))
    assert len(train.classes) == 8 and len(train) and len(test)
    assert all(path.startswith(str(sample_world)) for path in train.paths)
    # The same by the name of the data set alone.
    named = find_dataset_config('sample_world_classification', config_path,
                                dict(data_root=str(sample_world)))
    assert labelled_images(named, 'test').paths == test.paths
    with pytest.raises(FileNotFoundError, match='sample_world_pretrain'):
        find_dataset_config('imagenet', config_path)
    with pytest.raises(ValueError, match='no val_dataloader'):
        build_split({}, 'val')


def test_a_segmentation_set_of_a_config(sample_world, config_path):
    pytest.importorskip('mmseg')
    source = find_dataset_config('sample_world_segmentation', config_path,
                                 dict(data_root=str(sample_world)))
    assert is_segmentation(source)
    encoder, _ = build_encoder(Config(dict(backbone=BACKBONE)),
                               features='stages')
    result = probe_segmentation(
        encoder, build_split(source, 'train'), build_split(source, 'test'),
        MultiSensorDataPreprocessor(**{
            k: v for k, v in source.data_preprocessor.items()
            if k != 'type'}), 7, DenseOptions(pixels=3000))
    assert result['n_test'] == 2
    assert 0.1 < result['miou'] < 1 and result['top1'] > 0.4


def test_colour_maps(coloured, tmp_path):
    from PIL import Image
    images = read_image_list(coloured / 'data', coloured / 'test.txt')
    encoder, preprocessor = build_encoder(Config(dict(backbone=BACKBONE)),
                                          features='stages')
    out = write_colour_maps(encoder, ImageBatches(images, preprocessor),
                            preprocessor.sensor, tmp_path / 'new' / 'm.png',
                            side=32)
    picture = np.asarray(Image.open(out))
    assert picture.shape == (64, 12 * 32, 3)
    # The first image is blue, the last red; their features differ in colour.
    assert picture[16, 16].argmax() == 2 and picture[16, -16].argmax() == 0
    assert np.abs(picture[48, 16].astype(int) - picture[48, -16]).max() > 40
    assert not list(out.parent.glob('*.part'))


@pytest.mark.parametrize('factor', [2, 0.5])
def test_labels_from_before_images_were_resized(factor):
    """As mmseg's pipelines have it: Resize before LoadAnnotations."""

    def resized(samples):
        for sample in samples:
            sample['inputs'] = nn.functional.interpolate(
                sample['inputs'][None], scale_factor=factor)[0]
            sample['data_samples'].set_metainfo(
                dict(img_shape=tuple(sample['inputs'].shape[-2:])))
        return samples

    results = [
        probe_segmentation(
            QuarterSize(), change(scenes(6, 0)), change(scenes(4, 1)),
            MultiSensorDataPreprocessor(pad_size_divisor=32), CLASSES,
            DenseOptions(pixels=1500)) for change in (list, resized)]
    # Blocks of 8 pixels have 2 x 2, or at half the size one feature each.
    assert results[1]['miou'] > (0.85 if factor > 1 else 0.6)
    if factor > 1:
        assert results[1]['miou'] >= results[0]['miou']
