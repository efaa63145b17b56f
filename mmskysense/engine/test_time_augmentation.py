# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Test-time augmentation for any config, with the host's own merging.

mmseg, mmdet and mmpretrain merge the predictions of several views of an
image, but only for configs that spell out ``tta_model`` and
``tta_pipeline``. Here both are derived from the config's test pipeline.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

__all__ = ['use_test_time_augmentation']

_DIRECTIONS = ('horizontal', 'vertical')
# Host -> its model that merges views.
_MERGING: dict[str, dict[str, Any]] = {
    'mmseg': dict(type='SegTTAModel'),
    'mmdet': dict(
        type='DetTTAModel',
        tta_cfg=dict(
            nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)),
    'mmrotate': dict(
        type='mmskysense.RotatedBoxTTA',
        tta_cfg=dict(
            nms=dict(type='nms_rotated', iou_threshold=0.1),
            max_per_img=2000)),
    'mmpretrain': dict(type='AverageClsScoreTTA'),
}
# Last transform of a test pipeline -> host.
_PACKING = {
    'PackSegInputs': 'mmseg',
    'mmskysense.PackMultiSensorSegInputs': 'mmseg',
    'PackDetInputs': 'mmdet',
    'mmdet.PackDetInputs': 'mmrotate',
    'PackInputs': 'mmpretrain',
    'mmskysense.PackMultiSensorClsInputs': 'mmpretrain',
}
# What turns the logits of mmseg back; mmdet's merging does it for boxes.
_META = ('flip', 'flip_direction')
# Model -> our merging, where its predictions are not what the host's expects.
_OWN_MERGING: dict[str, dict[str, Any]] = {
    'mmskysense.SiameseSemanticChange': dict(
        type='mmskysense.SemanticChangeTTA')
}
# Our merging -> module that registers it; each needs its host.
_MODULES = {'mmskysense.RotatedBoxTTA': 'rotated_boxes',
            'mmskysense.SemanticChangeTTA': 'semantic_change'}


def use_test_time_augmentation(cfg: Config) -> None:
    """Make a config test on three views: as it is, and flipped both ways.

    A config with its own ``tta_model`` and ``tta_pipeline`` keeps them.
    Otherwise the flips go into its test pipeline and the host merges: mmseg
    averages probabilities (``SegTTAModel``), mmpretrain scores
    (``AverageClsScoreTTA``), mmdet joins boxes by non-maximum suppression
    with the config's own threshold (``DetTTAModel``), and we do so for
    mmrotate's turned boxes (``RotatedBoxTTA``) and average the probabilities
    of semantic change (``SemanticChangeTTA``).

    Args:
        cfg: Changed in place: ``model`` is wrapped and the test data set
            gets the augmented pipeline.

    Raises:
        ValueError: The host, or the model, has no such merging.

    Example:
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(
        ...     model=dict(type='ImageClassifier'),
        ...     test_dataloader=dict(dataset=dict(pipeline=[
        ...         dict(type='LoadImageFromFile'), dict(type='PackInputs')
        ...     ]))))
        >>> use_test_time_augmentation(cfg)
        >>> cfg.model.type
        'AverageClsScoreTTA'
    """
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    if 'tta_model' in cfg and 'tta_pipeline' in cfg:
        merging, pipeline = dict(cfg.tta_model), cfg.tta_pipeline
    else:
        merging, pipeline = _derived(cfg, dataset.get('pipeline') or [])
    dataset.pipeline = pipeline
    cfg.model = ConfigDict(**merging, module=cfg.model)


def _derived(cfg: Config, pipeline: list) -> tuple[dict, list]:
    """The host's merging model and the pipeline with flips."""
    packing: str = pipeline[-1]['type'] if pipeline else 'nothing'
    host = _PACKING.get(packing)
    scope = cfg.get('default_scope', host)
    if host is None or scope not in (host, 'mmskysense') or \
            _has_masks(cfg):
        raise ValueError(
            f'--tta: nothing merges the views of {cfg.model.type} in scope '
            f"'{scope}' whose test pipeline ends in {packing}; expected a "
            'segmentor of mmseg, a detector of mmdet or mmrotate without '
            'masks, or a classifier of mmpretrain; add tta_model and '
            'tta_pipeline to the config or leave --tta out')
    *head, pack = copy.deepcopy([dict(step) for step in pipeline])
    if 'meta_keys' in pack:
        pack['meta_keys'] = tuple(dict.fromkeys((*pack['meta_keys'], *_META)))
    elif packing != 'PackSegInputs' and host != 'mmpretrain':
        pack['meta_keys'] = _default_meta_keys(packing)
    # mmdet flips boxes in place, in all views at once: before they are there.
    place = next((number for number, step in enumerate(head)
                  if host in ('mmdet', 'mmrotate')
                  and 'Annotation' in step['type']),
                 len(head))
    views = dict(
        type='TestTimeAug',
        transforms=[_flips(packing), *([step] for step in head[place:]),
                    [pack]])
    own = _OWN_MERGING.get(cfg.model.type)
    if own is not None:
        cfg.model.keep_logits = True
    merging = copy.deepcopy(own or _MERGING[host])
    test_cfg = cfg.model.get('test_cfg') or {}
    ours = test_cfg.get('rcnn') or test_cfg
    if 'tta_cfg' in merging and 'nms' in ours:
        merging['tta_cfg'] = dict(
            nms=copy.deepcopy(dict(ours['nms'])),
            max_per_img=ours.get('max_per_img', 100))
    if merging['type'] in _MODULES:
        importlib.import_module('mmskysense.models.test_time_augs.'
                                + _MODULES[merging['type']])
    return merging, [*head[:place], views]


def _flips(packing: str) -> list[dict[str, Any]]:
    """One transform a view; the first leaves the image as it is.

    Truth and meta data of the merged prediction are those of the first.
    """
    if packing.startswith('mmskysense.'):
        kind = 'mmskysense.MultiSensorFlip'
        return [dict(type=kind, direction=None),
                *(dict(type=kind, direction=way) for way in _DIRECTIONS)]
    kind = packing.rpartition('.')[0]
    kind = f'{kind}.RandomFlip' if kind else 'RandomFlip'
    return [dict(type=kind, prob=0.0),
            *(dict(type=kind, prob=1.0, direction=way)
              for way in _DIRECTIONS)]


def _default_meta_keys(packing: str) -> tuple[str, ...]:
    if packing.endswith('PackDetInputs'):
        return ('img_id', 'img_path', 'ori_shape', 'img_shape',
                'scale_factor', *_META)
    return ('tile_id', 'img_path', 'seg_map_path', 'ori_shape', 'img_shape',
            'reduce_zero_label', *_META)


def _has_masks(cfg: Mapping[str, Any]) -> bool:
    return bool((cfg['model'].get('roi_head') or {}).get('mask_head'))
