# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Deriving test-time augmentation from a config."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmskysense.datasets.transforms import MultiSensorFlip
from mmskysense.engine import use_test_time_augmentation

ROOT = Path(__file__).parents[2]


def config(model, *steps, **more):
    pipeline = [dict(type=step) if isinstance(step, str) else step
                for step in steps]
    return Config(dict(
        model=model, **more,
        test_dataloader=dict(dataset=dict(
            dataset=dict(pipeline=pipeline)))))


def pipeline_of(cfg):
    return cfg.test_dataloader.dataset.dataset.pipeline


@pytest.mark.parametrize('pack,scope,merging', [
    ('PackSegInputs', 'mmseg', 'SegTTAModel'),
    ('mmskysense.PackMultiSensorSegInputs', 'mmseg', 'SegTTAModel'),
    ('PackInputs', 'mmpretrain', 'AverageClsScoreTTA'),
    ('mmskysense.PackMultiSensorClsInputs', 'mmpretrain',
     'AverageClsScoreTTA'),
    ('PackDetInputs', 'mmdet', 'DetTTAModel')])
def test_the_host_merges(pack, scope, merging):
    cfg = config(dict(type='Model'), 'Load', 'LoadAnnotations', pack,
                 default_scope=scope)
    use_test_time_augmentation(cfg)
    assert cfg.model.type == merging and cfg.model.module.type == 'Model'
    first, *_, views = pipeline_of(cfg)
    assert first.type == 'Load' and views.type == 'TestTimeAug'
    flips, *_, last = views.transforms
    assert len(flips) == 3 and last[0].type == pack
    # Boxes are loaded in each view; labels once.
    assert len(views.transforms) == (3 if scope == 'mmdet' else 2)
    if pack not in ('PackSegInputs', 'PackInputs',
                    'mmskysense.PackMultiSensorClsInputs'):
        assert {'flip', 'flip_direction', 'img_path'} <= set(
            last[0].meta_keys)


def test_own_meta_keys_and_suppression_are_kept():
    nms = dict(type='soft_nms', iou_threshold=0.3)
    cfg = config(
        dict(type='FasterRCNN', test_cfg=dict(
            rcnn=dict(nms=nms, max_per_img=7))),
        'Load', dict(type='PackDetInputs', meta_keys=('img_id', )))
    use_test_time_augmentation(cfg)
    assert cfg.model.tta_cfg == dict(nms=nms, max_per_img=7)
    pack = pipeline_of(cfg)[-1].transforms[-1][0]
    assert pack.meta_keys == ('img_id', 'flip', 'flip_direction')


def test_a_config_with_its_own_keeps_it():
    cfg = config(dict(type='Model'), 'PackSegInputs',
                 tta_model=dict(type='Mine'), tta_pipeline=[dict(type='A')])
    use_test_time_augmentation(cfg)
    assert cfg.model.type == 'Mine' and pipeline_of(cfg) == [dict(type='A')]


@pytest.mark.parametrize('cfg', [
    config(dict(type='A'), 'PackSomething'),
    config(dict(type='A')),
    config(dict(type='A'), 'PackDetInputs', default_scope='mmrotate'),
    config(dict(type='MaskRCNN', roi_head=dict(mask_head=dict(type='B'))),
           'PackDetInputs', default_scope='mmdet')])
def test_what_no_host_merges_is_refused(cfg):
    with pytest.raises(ValueError, match='--tta: nothing merges the views'):
        use_test_time_augmentation(cfg)


@pytest.mark.parametrize('direction,axis', [
    ('horizontal', -1), ('vertical', -2), (None, None)])
def test_a_flip_leaves_its_input_alone(direction, axis):
    images = np.arange(24).reshape(1, 2, 3, 4)
    given = dict(images={'s2_l2a': images}, gt_seg_map=images[0, 0],
                 valid={'s2_l2a': images[:, 0] > 3})
    flipped = MultiSensorFlip(direction)(given)
    assert given['images']['s2_l2a'] is images and 'flip' not in given
    assert flipped['flip'] is (direction is not None)
    assert flipped['flip_direction'] == direction
    for found, plain in ((flipped['images']['s2_l2a'], images),
                         (flipped['valid']['s2_l2a'], images[:, 0] > 3),
                         (flipped['gt_seg_map'], images[0, 0])):
        np.testing.assert_array_equal(
            found, plain if axis is None else np.flip(plain, axis))


def test_a_flip_knows_two_directions():
    with pytest.raises(ValueError, match="direction='diagonal'"):
        MultiSensorFlip('diagonal')


TASKS = ('segmentation', 'classification', 'detection', 'multi_modal',
         'change_detection', 'oriented_detection')
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix() for task in TASKS
    for path in (ROOT / 'configs' / task).glob('*.py'))


@pytest.mark.parametrize('name', CONFIGS)
def test_every_task_of_the_project_is_tested_so_or_refused(name):
    if name.startswith('configs/oriented'):
        pytest.importorskip('mmrotate')
    cfg = Config.fromfile(str(ROOT / name))
    if cfg.model.type == 'MaskRCNN':
        with pytest.raises(ValueError, match='nothing merges'):
            use_test_time_augmentation(cfg)
        return
    plain = cfg.model.type
    use_test_time_augmentation(cfg)
    assert cfg.model.module.type == plain
