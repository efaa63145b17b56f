# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import dataclasses

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement

from mmskysense.datasets.transforms import (
    MultiCropViews,
    PackMultiSensorSegInputs,
    PackPretrainInputs,
)
from mmskysense.models import MultiSensorDataPreprocessor
from mmskysense.sensors import SENSORS, get_sensor
from mmskysense.structures import ViewBatch

RGB = get_sensor('hr_rgb')
S2 = get_sensor('s2_l2a')
SHAPES = [(10, 13), (12, 9)]


def expected(image, sensor=RGB):
    mean, std = (torch.tensor(s).view(-1, 1, 1)
                 for s in (sensor.mean, sensor.std))
    return (image.float() - mean) / std


def images(dtype=torch.uint8):
    return [torch.randint(0, 256, (3, *shape)).to(dtype) for shape in SHAPES]


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32, torch.int16])
def test_normalises_and_pads(dtype):
    inputs = images(dtype)
    out = MultiSensorDataPreprocessor(pad_size_divisor=8)(
        dict(inputs=inputs))
    assert out['inputs'].shape == (2, 3, 16, 16)
    assert out['inputs'].dtype == torch.float32
    for batch, image, (height, width) in zip(out['inputs'], inputs, SHAPES,
                                             strict=True):
        torch.testing.assert_close(batch[:, :height, :width],
                                   expected(image))
        assert batch[:, height:].abs().sum() == 0
        assert batch[:, :, width:].abs().sum() == 0
    assert out['data_samples'] is None
    # default_collate stacks already
    stacked = torch.stack([inputs[0], inputs[0]])
    torch.testing.assert_close(
        MultiSensorDataPreprocessor()(dict(inputs=stacked))['inputs'],
        expected(stacked))


def test_options():
    image = images()[0]
    torch.testing.assert_close(
        MultiSensorDataPreprocessor(bgr_to_rgb=True)(
            dict(inputs=[image]))['inputs'][0], expected(image.flip(0)))
    out = MultiSensorDataPreprocessor(
        mean=[0, 0, 0], std=[2, 2, 2], size=(20, 16))(dict(inputs=[image]))
    assert out['inputs'].shape == (1, 3, 20, 16)
    torch.testing.assert_close(out['inputs'][0, :, :10, :13],
                               image.float() / 2)
    multi = MultiSensorDataPreprocessor(
        sensors=('s2_l2a', 's1_grd'), std=dict(s1_grd=[1, 1]))
    assert multi.sensor is S2
    torch.testing.assert_close(
        multi.normalize(torch.zeros(2, 1, 1), get_sensor('s1_grd')),
        -torch.tensor(get_sensor('s1_grd').mean).view(2, 1, 1))


def test_unmeasured_pixels_become_the_mean():
    image = torch.full((10, 4, 4), 2000.0)
    image[3, 0, 0], image[5, 1, 1] = float('nan'), float('inf')
    sample = BaseDataElement(
        metainfo=dict(valid_mask=np.ones((4, 4), np.uint8)))
    sample.metainfo['valid_mask'][2, 2] = 0
    process = MultiSensorDataPreprocessor(sensor='s2_l2a')
    out = process(dict(inputs=[image]))['inputs'][0]
    assert torch.isfinite(out).all()
    assert out[:, [0, 1], [0, 1]].abs().sum() == 0
    torch.testing.assert_close(out[:, 3, 3], expected(image, S2)[:, 3, 3])
    sample.set_metainfo(
        dict(valid_mask=np.eye(4, dtype=np.uint8)))
    out = process(dict(inputs=[torch.full((10, 4, 4), 9.0)],
                       data_samples=[sample]))['inputs'][0]
    assert (out.abs().sum(0) > 0).equal(torch.eye(4).bool())


@pytest.mark.parametrize('options, error, words', [
    (dict(sensor='landsat'), KeyError, 'landsat'),
    (dict(sensors=('landsat', )), KeyError, 'landsat'),
    (dict(mean=[0, 0]), ValueError, '2 values, expected 3'),
    (dict(sensor='s2_l2a', bgr_to_rgb=True), ValueError, '3 bands'),
    (dict(pad_size_divisor=0), ValueError, 'pad_size_divisor'),
])
def test_refuses_options(options, error, words):
    with pytest.raises(error, match=words):
        MultiSensorDataPreprocessor(**options)


def test_refuses_other_sensors():
    with pytest.raises(ValueError, match='expects 10 channels.*found 3'):
        MultiSensorDataPreprocessor(sensor='s2_l2a')(dict(inputs=images()))
    with pytest.raises(ValueError, match="found 's1_grd'"):
        MultiSensorDataPreprocessor(sensors=('hr_rgb', ))(
            dict(inputs=dict(s1_grd=[torch.zeros(1, 2, 4, 4)])))


def tile(dates, missing=False):
    results = dict(
        images={}, valid={}, dates={}, tile_id=str(dates), img_shape=(8, 8),
        ori_shape=(8, 8), gt_seg_map=np.ones((8, 8), np.uint8))
    for sensor, count, side in ((RGB, 1, 8), (S2, 0 if missing else dates,
                                              4)):
        results['images'][sensor.name] = np.full(
            (count, sensor.num_bands, side, side), 100, np.float32)
        results['valid'][sensor.name] = np.ones((count, side, side), bool)
        results['dates'][sensor.name] = np.arange(1, count + 1)
    if not missing:
        results['valid']['s2_l2a'][-1] = False
        results['images']['s2_l2a'][-1] = np.nan
    return results


@pytest.mark.parametrize('training', [True, False])
def test_several_sensors(training):
    pytest.importorskip('mmseg')
    pack = PackMultiSensorSegInputs()
    batch = pseudo_collate(
        [pack.transform(t) for t in (tile(2), tile(3), tile(2, True))])
    out = MultiSensorDataPreprocessor(
        sensors=('hr_rgb', 's2_l2a'), pad_size_divisor=6)(batch, training)
    optical = out['inputs']['s2_l2a']
    assert optical.shape == (3, 3, 10, 6, 6)
    assert out['inputs']['hr_rgb'].shape == (3, 1, 3, 12, 12)
    assert torch.isfinite(optical).all()
    value = expected(torch.full((10, 1, 1), 100.0), S2)
    torch.testing.assert_close(optical[1, 0, :, :4, :4],
                               value.expand(-1, 4, 4))
    assert optical[1, 2].abs().sum() == 0  # unmeasured date
    assert optical[2].abs().sum() == 0  # missing sensor
    metas = [sample.metainfo for sample in out['data_samples']]
    assert [m['dates']['s2_l2a'].tolist() for m in metas] == [
        [1, 2, 0], [1, 2, 3], [0, 0, 0]]
    assert [m['valid_dates']['s2_l2a'].tolist() for m in metas] == [
        [True, False, False], [True, True, False], [False] * 3]
    assert metas[0]['padding_size'] == [0, 4, 0, 4]
    label = out['data_samples'][0].gt_sem_seg.data
    if training:
        assert label.shape == (1, 12, 12) and (label[:, 8:] == 255).all()
    else:  # hosts crop the prediction to the label
        assert label.shape == (1, 8, 8)


def test_sensors_without_masks():
    out = MultiSensorDataPreprocessor()(
        dict(inputs=dict(hr_rgb=[torch.full((2, 3, 4, 4), float('nan'))])))
    assert out['inputs']['hr_rgb'].abs().sum() == 0


@pytest.mark.parametrize('local_views', [0, 3])
def test_views(local_views):
    cut = MultiCropViews(dict(hr_rgb=(6, 4), s2_l2a=(4, 4)),
                         local_views=local_views)
    pack = PackPretrainInputs()
    batch = pseudo_collate(
        [pack.transform(cut.transform(t)) for t in (tile(2), tile(4, True))])
    out = MultiSensorDataPreprocessor()(batch, True)
    views = out['inputs']['global']
    assert isinstance(views, ViewBatch)
    assert views.images['hr_rgb'].shape == (2, 2, 1, 3, 6, 6)
    assert views.images['s2_l2a'].shape == (2, 2, 2, 10, 4, 4)
    value = expected(torch.full((10, 1, 1), 100.0), S2)
    torch.testing.assert_close(views.images['s2_l2a'][0, 0, 0],
                               value.expand(-1, 4, 4))
    assert views.images['s2_l2a'][:, 0, 1].abs().sum() == 0
    assert not views.valid['s2_l2a'][:, 1].any()
    assert [s.tile_id for s in out['data_samples']] == ['2', '4']
    local = out['inputs']['local']
    assert local is None if not local_views else (
        local.images['hr_rgb'].shape == (3, 2, 1, 3, 4, 4))


def seg_samples():
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample
    samples = []
    for shape in SHAPES:
        sample = SegDataSample(metainfo=dict(
            img_shape=shape, ori_shape=shape, img_path='a.tif'))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, *shape)))
        samples.append(sample)
    return samples


def clone(samples):
    return [sample.clone() for sample in samples]


def test_equals_mmseg():
    pytest.importorskip('mmseg')
    from mmseg.models import SegDataPreProcessor
    inputs, samples = images(), seg_samples()
    theirs = SegDataPreProcessor(
        mean=RGB.mean, std=RGB.std, size=(16, 16), seg_pad_val=255)(
            dict(inputs=[i.clone() for i in inputs],
                 data_samples=clone(samples)), True)
    ours = MultiSensorDataPreprocessor(size=(16, 16))(
        dict(inputs=inputs, data_samples=samples), True)
    torch.testing.assert_close(ours['inputs'], theirs['inputs'])
    for a, b in zip(ours['data_samples'], theirs['data_samples'],
                    strict=True):
        assert type(a) is type(b)
        torch.testing.assert_close(a.gt_sem_seg.data, b.gt_sem_seg.data)
        assert tuple(a.img_shape) == tuple(b.img_shape)
        assert tuple(a.pad_shape) == tuple(b.pad_shape)
        assert list(a.padding_size) == list(b.padding_size)


def test_mmseg_model_learns_and_predicts_at_the_original_size():
    pytest.importorskip('mmseg')
    from mmengine.config import ConfigDict
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules
    register_all_modules(False)
    init_default_scope('mmseg')
    model = MODELS.build(ConfigDict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='mmskysense.MultiSensorDataPreprocessor',
            sensor='s2_l2a', pad_size_divisor=8),
        backbone=dict(type='UNet', in_channels=10, base_channels=4,
                      num_stages=2, strides=(1, 1), enc_num_convs=(1, 1),
                      dec_num_convs=(1, ), downsamples=(True, ),
                      enc_dilations=(1, 1), dec_dilations=(1, ),
                      norm_cfg=dict(type='BN')),
        decode_head=dict(type='FCNHead', in_channels=4, in_index=1,
                         channels=4, num_convs=1, num_classes=3,
                         norm_cfg=dict(type='BN')),
        test_cfg=dict(mode='whole')))
    data = dict(inputs=[torch.rand(10, *shape) * 3000 for shape in SHAPES],
                data_samples=seg_samples())
    batch = model.data_preprocessor(data, True)
    losses = model(**batch, mode='loss')
    losses['decode.loss_ce'].backward()
    model.eval()
    data['data_samples'] = seg_samples()
    predictions = model.test_step(data)
    for sample, shape in zip(predictions, SHAPES, strict=True):
        assert sample.pred_sem_seg.shape == shape
        assert sample.gt_sem_seg.shape == shape


def test_equals_mmdet():
    pytest.importorskip('mmdet')
    from mmdet.models.data_preprocessors import DetDataPreprocessor
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmengine.structures import InstanceData
    inputs, samples = images(), []
    for shape in SHAPES:
        samples.append(DetDataSample(metainfo=dict(
            img_shape=shape, ori_shape=shape, scale_factor=(1, 1))))
        samples[-1].gt_instances = InstanceData(
            bboxes=HorizontalBoxes(torch.tensor([[1., 2., 5., 6.]])),
            labels=torch.tensor([1]))
        samples[-1].ignored_instances = InstanceData(
            bboxes=HorizontalBoxes(torch.zeros(0, 4)))
    theirs = DetDataPreprocessor(
        mean=RGB.mean, std=RGB.std, pad_size_divisor=8)(
            dict(inputs=[i.clone() for i in inputs],
                 data_samples=clone(samples)), True)
    ours = MultiSensorDataPreprocessor(pad_size_divisor=8)(
        dict(inputs=inputs, data_samples=samples), True)
    torch.testing.assert_close(ours['inputs'], theirs['inputs'])
    for a, b in zip(ours['data_samples'], theirs['data_samples'],
                    strict=True):
        assert a.metainfo == b.metainfo
        assert isinstance(a.gt_instances.bboxes, torch.Tensor)
        torch.testing.assert_close(a.gt_instances.bboxes,
                                   b.gt_instances.bboxes)


def test_equals_mmpretrain():
    pytest.importorskip('mmpretrain')
    from mmpretrain.models.utils import ClsDataPreprocessor
    from mmpretrain.structures import DataSample
    inputs = images()
    samples = [DataSample().set_gt_label(n) for n in (0, 2)]
    theirs = ClsDataPreprocessor(
        mean=RGB.mean, std=RGB.std, pad_size_divisor=8)(
            dict(inputs=[i.clone() for i in inputs],
                 data_samples=clone(samples)), True)
    process = MultiSensorDataPreprocessor(pad_size_divisor=8)
    ours = process(dict(inputs=inputs, data_samples=samples), True)
    torch.testing.assert_close(ours['inputs'], theirs['inputs'])
    for a, b in zip(ours['data_samples'], theirs['data_samples'],
                    strict=True):
        assert type(a) is type(b) and a.gt_label.equal(b.gt_label)


def test_mixup_of_mmpretrain():
    pytest.importorskip('mmpretrain')
    from mmpretrain.structures import DataSample
    data = dict(
        inputs=[image[:, :9, :9] for image in images()],
        data_samples=[DataSample().set_gt_label(n) for n in (0, 2)])
    augment = dict(augments=[dict(type='Mixup', alpha=0.8)])
    process = MultiSensorDataPreprocessor(
        batch_augments=augment, num_classes=3)
    scores = torch.stack(
        [s.gt_score for s in process(data, True)['data_samples']])
    torch.testing.assert_close(scores.sum(1), torch.ones(2))
    assert scores[:, 1].sum() == 0
    with pytest.raises(ValueError, match='num_classes'):
        MultiSensorDataPreprocessor(batch_augments=augment)(data, True)


def test_statistics_are_where_the_model_is_and_not_in_checkpoints():
    pre = MultiSensorDataPreprocessor(sensors=['s1_grd', 's2_l2a'])
    assert not pre.state_dict()
    buffers = dict(pre.named_buffers())
    assert {'mean_s1_grd', 'std_s1_grd', 'mean_s2_l2a'} <= set(buffers)
    assert 'mean_hr_rgb' not in buffers
    pre.to('meta')
    assert pre.mean_s1_grd.device.type == 'meta'


def test_normalising_copies_no_statistics(monkeypatch):
    pre = MultiSensorDataPreprocessor()
    image = torch.rand(3, 4, 4)

    def refuse(*args, **kwargs):
        raise AssertionError('statistics copied for an image')

    monkeypatch.setattr(torch.Tensor, 'new_tensor', refuse)
    monkeypatch.setattr(torch, 'tensor', refuse)
    monkeypatch.setattr(torch, 'as_tensor', refuse)
    pre.normalize(image, pre.sensor)


def test_a_sensor_registered_later_is_normalised(monkeypatch):
    pre = MultiSensorDataPreprocessor(sensor='s1_grd')
    entry = get_sensor('s1_grd')
    late = dataclasses.replace(entry, name='late_sar')
    monkeypatch.setitem(SENSORS, 'late_sar', late)
    result = pre.normalize(torch.zeros(2, 3, 3), late)
    expected = -torch.tensor(late.mean) / torch.tensor(late.std)
    torch.testing.assert_close(result[:, 0, 0], expected)
