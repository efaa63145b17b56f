# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How many pixels of each class the label of each sample has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm


def classes_of_label(dataset: Any, index: int) -> list[int]:
    """Ids of the classes in the label of one sample, ascending.

    Args:
        dataset: A segmentation data set of mmseg or of this project.
        index: Of the sample.

    Raises:
        ValueError: Samples have no label, or nothing in the pipeline loads
            it.
    """
    return np.flatnonzero(_count(dataset, index, _loader(dataset))).tolist()


def count_class_pixels(dataset: Any) -> np.ndarray:
    """Read the label of every sample, as the pipeline does, and count.

    Nodata, label maps and ignored values are those of the pipeline's own
    loader. Shows its progress when it takes longer than five seconds.

    Args:
        dataset: A segmentation data set of mmseg or of this project, or a
            wrapper of one.

    Returns:
        int64 (samples, classes); ignored pixels are in no class.

    Raises:
        ValueError: Samples have no label, or nothing in the pipeline loads
            it.
    """
    load = _loader(dataset)
    return np.stack([
        _count(dataset, index, load)
        for index in tqdm(range(len(dataset)), 'counting pixels of classes',
                          delay=5, disable=None, leave=False)
    ])


def write_class_pixels(dataset: Any, path: str | os.PathLike) -> np.ndarray:
    """Count, and keep the result in a file for later runs.

    Args:
        dataset: As for :func:`count_class_pixels`.
        path: JSON file to write, whole or not at all.

    Returns:
        int64 (samples, classes).
    """
    counts = count_class_pixels(dataset)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f'{target.name}.{os.getpid()}.part')
    try:
        aside.write_text(json.dumps(dict(
            classes=list(dataset.metainfo['classes']),
            pixels={_key(dataset, index): row.tolist()
                    for index, row in enumerate(counts)})),
            encoding='utf-8')
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return counts


def read_class_pixels(dataset: Any, path: str | os.PathLike) -> np.ndarray:
    """Look the samples of a data set up in a file of counts.

    Args:
        dataset: Its samples may be a part of those in the file, in any
            order.
        path: What :func:`write_class_pixels` wrote.

    Returns:
        int64 (samples, classes).

    Raises:
        FileNotFoundError: No such file.
        ValueError: Other classes, or a sample that is not in the file.
    """
    remedy = ('count again: python tools/dataset_converters/'
              'count_class_pixels.py CONFIG FILE')
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: expected counts of class pixels, '
                                f'found no such file; {remedy}')
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        classes, pixels = content['classes'], content['pixels']
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{path}: expected JSON with classes and pixels; '
                         f'{remedy}') from None
    if classes != list(dataset.metainfo['classes']):
        raise ValueError(
            f'{path}: counts classes {classes}, the data set has '
            f"{list(dataset.metainfo['classes'])}; {remedy}")
    keys = [_key(dataset, index) for index in range(len(dataset))]
    missing = [key for key in keys if key not in pixels]
    if missing:
        raise ValueError(f"{path}: has no counts of '{missing[0]}' and "
                         f'{len(missing) - 1} more samples; {remedy}')
    return np.array([pixels[key] for key in keys], dtype=np.int64)


def _key(dataset: Any, index: int) -> str:
    """Path of the label, relative so that the folder can be moved."""
    path = str(dataset.get_data_info(index)['seg_map_path'])
    root = getattr(_leaf(dataset), 'data_root', None)
    return Path(os.path.relpath(path, root or '.')).as_posix()


def _leaf(dataset: Any) -> Any:
    """The data set inside wrappers; the first of several."""
    while not hasattr(dataset, 'pipeline'):
        inner = getattr(dataset, 'dataset', None)
        parts = getattr(dataset, 'datasets', None)
        if inner is None and not parts:
            break
        dataset = inner if parts is None else parts[0]
    return dataset


def _loader(dataset: Any) -> Callable[[dict], dict]:
    """The transform of the pipeline that loads labels."""
    steps = getattr(getattr(_leaf(dataset), 'pipeline', None), 'transforms',
                    [])
    for step in steps:
        if 'Annotation' in type(step).__name__:
            return step
    raise ValueError(
        f'{type(_leaf(dataset)).__name__}: expected a pipeline that loads '
        'labels (LoadGeoTIFFAnnotations, LoadAnnotations), found '
        f'{[type(step).__name__ for step in steps]}')


def _count(dataset: Any, index: int,
           load: Callable[[dict], dict]) -> np.ndarray:
    sample = dict(dataset.get_data_info(index))
    if not sample.get('seg_map_path'):
        raise ValueError(
            f'{type(_leaf(dataset)).__name__}: sample {index} has no '
            'seg_map_path; pixels of classes are those of segmentation '
            'labels')
    sample['seg_fields'] = []
    labels = load(sample)['gt_seg_map']
    number = len(dataset.metainfo['classes'])
    return np.bincount(labels[labels < number].ravel(), minlength=number)
