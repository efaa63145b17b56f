# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Data sets that a config defines, for probing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmskysense.utils.config import read_config

from .image_sets import LabelledImages

_READER_OPTIONS = ('bands', 'scale', 'offset', 'nodata')


def find_dataset_config(name: str, config: str | os.PathLike,
                        options: dict[str, Any] | None = None) -> Config:
    """The config with a data set of some name.

    Args:
        name: ``'config'`` for ``config``'s own data set, a config file, or
            the name of one in ``_base_/datasets`` above ``config``, such as
            ``'sample_world_classification'``.
        config: Config of the encoder.
        options: Overrides, see :func:`read_config`.

    Raises:
        FileNotFoundError: No such data set; those there are are listed.
    """
    if name == 'config':
        return read_config(os.fspath(config), options)
    if name.endswith('.py'):
        return read_config(name, options)
    for parent in Path(config).resolve().parents:
        folder = parent / '_base_' / 'datasets'
        if (folder / f'{name}.py').is_file():
            return read_config(str(folder / f'{name}.py'), options)
        if folder.is_dir():
            known = sorted(path.stem for path in folder.glob('*.py'))
            raise FileNotFoundError(
                f"--dataset {name}: expected 'config', a config file, or one "
                f'of {known}')
    raise FileNotFoundError(f"--dataset {name}: found no _base_/datasets "
                            f"above {config}; give 'config' or a file")


def dataset_part(config: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The data set of a split, without its wrappers.

    Args:
        config: With ``<split>_dataloader``.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ValueError: The config has no such split.
    """
    dataset = (config.get(f'{split}_dataloader') or {}).get('dataset')
    while dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    if not dataset:
        raise ValueError(f'the config has no {split}_dataloader.dataset; '
                         'choose another split or data set')
    return dict(dataset)


def build_split(config: Mapping[str, Any], split: str,
                pipeline: list | None = None) -> Any:
    """Build a split's data set in its host's scope.

    Args:
        config: With ``<split>_dataloader``.
        split: ``'train'``, ``'val'`` or ``'test'``.
        pipeline: Replaces the data set's; None takes that of the test split
            (or val), so that nothing is augmented.
    """
    dataset = dataset_part(config, split)
    if pipeline is None:
        for other in ('test', 'val', split):
            if config.get(f'{other}_dataloader'):
                pipeline = dataset_part(config, other).get('pipeline')
                break
    dataset['pipeline'] = pipeline
    with DefaultScope.overwrite_default_scope(scope_of(config, dataset)):
        return DATASETS.build(dataset)


def scope_of(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Whose registry a data set's type is in."""
    scope = config.get('default_scope')
    if scope:
        return str(scope)
    # A file of _base_/datasets alone does not say.
    host = {'CustomDataset': 'mmpretrain', 'BaseSegDataset': 'mmseg',
            'CocoDataset': 'mmdet'}
    steps = {str(step.get('type', '')).split('.')[-1]
             for step in dataset.get('pipeline') or []}
    if 'PackInputs' in steps:
        return 'mmpretrain'
    if 'PackSegInputs' in steps:
        return 'mmseg'
    return host.get(str(dataset.get('type', '')).split('.')[-1],
                    'mmskysense')


def is_segmentation(config: Mapping[str, Any]) -> bool:
    """Whether the training split is of segmentation."""
    dataset = dataset_part(config, 'train')
    # Such as BaseSegDataset, PackSegInputs, PackMultiSensorSegInputs.
    return any('Seg' in str(part.get('type', ''))
               for part in (dataset, *(dataset.get('pipeline') or ())))


def labelled_images(config: Mapping[str, Any], split: str) -> LabelledImages:
    """Images and classes of a classification set of a config.

    Args:
        config: With ``<split>_dataloader``.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ValueError: It is no classification set.
    """
    dataset = build_split(config, split, [])
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    several = bool(samples) and 'gt_score' in samples[0]
    if not samples or 'img_path' not in samples[0] or not (
            several or 'gt_label' in samples[0]):
        raise ValueError(
            f'{split}_dataloader.dataset ({type(dataset).__name__}) gives no '
            'img_path with gt_label or gt_score; probing needs a '
            'classification or a segmentation set')
    load: Mapping[str, Any] = next(
        (step for step in dataset_part(config, split).get('pipeline') or []
         if str(step.get('type', '')).endswith('LoadGeoTIFF')), {})
    return LabelledImages(
        tuple(sample['img_path'] for sample in samples),
        np.array([sample['gt_score'] if several else sample['gt_label']
                  for sample in samples]).astype(np.int64),
        tuple(dataset.metainfo['classes']),
        tuple((key, load[key]) for key in _READER_OPTIONS
              if load.get(key) is not None))
