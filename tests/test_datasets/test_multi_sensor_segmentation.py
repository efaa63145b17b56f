# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData

from mmskysense.datasets import MultiSensorSegDataset
from mmskysense.models import MultiSensorDataPreprocessor
from mmskysense.sensors import get_sensor

SENSORS = ('s1_grd', 's2_l2a')
CLASSES = dict(classes=('land', 'water'))
PIPELINE = [
    dict(type='mmskysense.LoadMultiSensorTile', sensors=SENSORS),
    dict(type='mmskysense.LoadGeoTIFFAnnotations'),
    dict(type='mmskysense.IgnoreInvalidPixels'),
    dict(type='mmskysense.PackMultiSensorSegInputs'),
]


@pytest.fixture
def chips(tmp_path, write_raster):
    """Two flood chips in the layout of Sen1Floods11."""
    rng = np.random.default_rng(0)
    names = ('B01', *get_sensor('s2_l2a').band_names, 'B09', 'B10')
    for n in range(2):
        radar = rng.normal(-15, 3, (2, 16, 16)).astype(np.float32)
        radar[:, :2] = np.nan
        optical = rng.integers(1, 4000, (13, 16, 16)).astype(np.int16)
        optical[:, :4] = 0
        label = rng.integers(-1, 2, (1, 16, 16)).astype(np.int16)
        write_raster(f'S1/Spain_{n}_S1Hand.tif', radar, ('VV', 'VH'))
        write_raster(f'S2/Spain_{n}_S2Hand.tif', optical, names)
        write_raster(f'label/Spain_{n}_LabelHand.tif', label)
    return tmp_path


def chip_dataset(root, **options):
    return MultiSensorSegDataset(**{
        **dict(
            data_root=str(root),
            sensors=SENSORS,
            data_prefix=dict(s1_grd='S1', s2_l2a='S2', seg_map='label'),
            suffixes=dict(
                s1_grd='_S1Hand.tif',
                s2_l2a='_S2Hand.tif',
                seg_map='_LabelHand.tif'),
            metainfo=CLASSES,
            pipeline=PIPELINE),
        **options
    })


@pytest.mark.parametrize('lines', [
    None, 'Spain_1\nSpain_0\n',
    'Spain_0_S1Hand.tif,Spain_0_LabelHand.tif\nSpain_1_S1Hand.tif,x\n\n'
])
def test_published_layout(chips, lines):
    options = {}
    if lines:
        (chips / 'list.txt').write_text(lines)
        options['ann_file'] = 'list.txt'
    dataset = chip_dataset(chips, check_files='open', **options)
    assert len(dataset) == 2
    sample = dataset[0]
    assert sample['inputs']['images']['s2_l2a'].shape == (1, 10, 16, 16)
    label = sample['data_samples'].gt_sem_seg.data
    # Where neither sensor measured, nothing is learnt; -1 is no label.
    assert (label[:, :2] == 255).all() and set(
        label.unique().tolist()) == {0, 1, 255}
    assert len(dataset.metainfo['palette']) == 2


def test_stock_metric(chips):
    """Truth as prediction gives 100 in mmseg's IoUMetric."""
    pytest.importorskip('mmseg')
    from mmseg.evaluation import IoUMetric
    init_default_scope('mmseg')
    dataset = chip_dataset(chips, test_mode=True)
    metric = IoUMetric()
    metric.dataset_meta = dataset.metainfo
    batch = pseudo_collate([dataset[0], dataset[1]])
    out = MultiSensorDataPreprocessor(
        sensors=SENSORS, pad_size_divisor=32)(batch, False)
    assert out['inputs']['s1_grd'].shape == (2, 1, 2, 32, 32)
    for sample in out['data_samples']:
        assert sample.gt_sem_seg.shape == (16, 16)
        sample.pred_sem_seg = PixelData(data=sample.gt_sem_seg.data.clone())
    metric.process({}, [s.to_dict() for s in out['data_samples']])
    assert metric.evaluate(2)['mIoU'] == 100


def test_index_layout(sample_world):
    dataset = MultiSensorSegDataset(
        sensors=('hr_rgb', 's2_l2a'),
        index='index.json',
        split='val',
        data_root=str(sample_world),
        metainfo=dict(classes=[str(n) for n in range(7)]),
        pipeline=[
            dict(
                type='mmskysense.LoadMultiSensorTile',
                sensors=('hr_rgb', 's2_l2a')), *PIPELINE[1:]
        ])
    assert len(dataset) == 2
    sample = dataset[1]
    assert sample['data_samples'].gt_sem_seg.shape == (320, 320)
    assert sample['data_samples'].metainfo['ori_shape'] == (320, 320)
    assert int((sample['data_samples'].gt_sem_seg.data < 7).sum()) > 1e4


def test_labels_of_a_coarser_sensor(sample_world):
    sensors = ('hr_rgb', 's2_l2a')
    dataset = MultiSensorSegDataset(
        sensors=sensors,
        index='index.json',
        split='val',
        label_key='crop_type',
        data_root=str(sample_world),
        metainfo=dict(classes=[str(n) for n in range(9)]),
        pipeline=[
            dict(
                type='mmskysense.LoadMultiSensorTile',
                sensors=sensors,
                label_sensor='s2_l2a'), *PIPELINE[1:]
        ])
    out = MultiSensorDataPreprocessor(
        sensors=sensors, pad_size_divisor=32)(
            pseudo_collate([dataset[0], dataset[1]]), True)
    assert out['inputs']['s2_l2a'].shape[-2:] == (32, 32)
    sample = out['data_samples'][0]
    assert sample.gt_sem_seg.shape == (32, 32)
    assert (sample.gt_sem_seg.data[:, 16:] == 255).all()
    assert sample.metainfo['padding_size'] == [0, 16, 0, 16]
    assert sample.metainfo['dates']['s2_l2a'].dtype == torch.int64


@pytest.mark.parametrize('options, error, words', [
    (dict(metainfo=None), ValueError, 'name the classes'),
    (dict(data_prefix=dict(s1_grd='S1', seg_map='label')), ValueError,
     's2_l2a'),
    (dict(ann_file='none.txt'), FileNotFoundError, 'none.txt.*ann_file'),
    (dict(data_prefix=dict(s1_grd='S1', s2_l2a='S2', seg_map='labels')),
     FileNotFoundError, 'labels.*data_prefix'),
    (dict(suffixes=dict(s1_grd='_S1.tif', seg_map='_LabelHand.tif')),
     FileNotFoundError, r'Spain_0_S1.tif.*\(4 of 6'),
    (dict(suffixes=dict(seg_map='.jpg')), ValueError, 'at least one sample'),
])
def test_refuses(chips, options, error, words):
    with pytest.raises(error, match=words):
        chip_dataset(chips, **options)


def test_label_outside_classes_names_the_file(chips, write_raster):
    path = write_raster('label/Spain_1_LabelHand.tif',
                        np.full((1, 16, 16), 2, np.int16))
    with pytest.raises(ValueError, match=f'{path}: expected class ids 0..1'):
        chip_dataset(chips)[1]
