# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Finding bad data before the first iteration, or naming it in one line."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from tqdm import tqdm

from mmskysense.raster.band_contract import RasterContractError
from mmskysense.raster.open_files import open_raster
from mmskysense.raster.reader import RasterReader
from mmskysense.utils.checkpoint import CheckpointError, read_checkpoint
from mmskysense.utils.command_line import UsageError, plain_refusal

__all__ = ['check_data_roots', 'check_datasets', 'check_init_checkpoints',
           'data_refusal', 'missing_data_explained']

# Headers opened and samples loaded of each data set (ours): some seconds.
_MAX_OPENED = 200
_MAX_LOADED = 32
# Our transforms that only read; they stand at the head of a pipeline.
_LOADERS = ('LoadGeoTIFF', 'LoadMultiSensorTile', 'LoadGeoTIFFAnnotations',
            'LoadTileLabels')
_REMEDY = ('convert the published data (docs/datasets/README.md), make the '
           'sample world (python tools/make_sample_data.py --out '
           'data/sample_world) or give your own folder with --cfg-options '
           'data_root=DIR')


def check_data_roots(cfg: Mapping[str, Any], *phases: str) -> None:
    """Refuse a config whose ``data_root`` is not there.

    Args:
        cfg: A config of mmengine.
        *phases: Of ``'train'``, ``'val'``, ``'test'``.

    Raises:
        FileNotFoundError: With the folder and the remedy.
    """
    for phase in phases:
        loader = cfg.get(f'{phase}_dataloader')
        dataset = (loader or {}).get('dataset')
        while dataset and 'dataset' in dataset:
            dataset = dataset['dataset']
        root = (dataset or {}).get('data_root')
        if root and _is_local(root) and not Path(root).is_dir():
            raise FileNotFoundError(
                f'{phase}_dataloader: data_root {root}: expected a folder, '
                f'found none; {_REMEDY}')


@contextmanager
def missing_data_explained() -> Iterator[None]:
    """Add the remedy to what the system says about a missing file.

    Raises:
        FileNotFoundError: In place of a bare ``[Errno 2]``.
    """
    try:
        yield
    except FileNotFoundError as error:
        if error.filename is None:
            raise
        raise FileNotFoundError(
            f'{error.filename}: no such file or folder, but the config names '
            f'it; correct the data set of the config, {_REMEDY}') from error


@contextmanager
def data_refusal(program: str) -> Iterator[None]:
    """Turn bad input met while running into one line and status 1.

    That is a bad raster, a checkpoint that does not fit the part of the
    model whose ``init_cfg`` names it, and what :class:`.UsageError` says.

    Data loading workers hand over their traceback as the message: what is
    printed is its last line, which names the file and the remedy.

    Args:
        program: Name printed in front of the message.

    Raises:
        SystemExit: With the message (see :func:`plain_refusal`).
    """
    try:
        yield
    except (CheckpointError, UsageError):
        with plain_refusal(program):
            raise
    except RasterContractError as error:
        text = str(error).rpartition('RasterContractError: ')[2]
        with plain_refusal(program):
            raise RasterContractError(text) from error


def check_datasets(*sources: Any) -> None:
    """Look at the files of data sets before they are used.

    Checked of every sample: that its image, label and sensor files
    (``img_path``, ``paths``, and ``seg_map_path`` and ``label_path`` where
    the pipeline loads labels) exist and are not empty; this costs one look
    at the file system each, and shows its progress when it takes longer
    than five seconds. Of up to 200 files, evenly spaced, that our loaders
    will read, the header is opened too: bands, data type, and whether the
    last block lies within the file. Of up to 32 samples, evenly spaced, the
    pipeline's own loading steps are run, with all dates: damage inside a
    file, values in another unit, samples without a measured pixel, sensors,
    dates and labels that do not cover the same ground, labels outside the
    classes. What is wrong inside other samples still shows only when they
    are loaded.

    Args:
        *sources: Loops, data loaders or data sets of mmengine and the hosts;
            wrappers are opened, data sets without ``get_data_info`` skipped.

    Raises:
        FileNotFoundError: A file is missing.
        RasterContractError: A file is empty, truncated or contradicts the
            sensor table, or the files of a sample contradict each other.
    """
    for source in sources:
        dataset = getattr(source, 'dataloader', source)
        for leaf in _leaves(getattr(dataset, 'dataset', dataset)):
            _check_dataset(leaf)


def check_init_checkpoints(model: nn.Module) -> None:
    """Look at the checkpoints that parts of a model will be loaded from.

    Args:
        model: Its modules' ``init_cfg`` of type ``Pretrained`` count;
            addresses of model zoos are left to mmengine.

    Raises:
        FileNotFoundError: A checkpoint is missing.
        ValueError: It cannot be read.
    """
    for module in model.modules():
        given = getattr(module, 'init_cfg', None) or {}
        for init in given if isinstance(given, list) else [given]:
            path = init.get('checkpoint')
            if path and init.get('type') == 'Pretrained' and _is_local(path):
                read_checkpoint(path)


def _leaves(dataset: Any) -> Iterator[Any]:
    """Data sets inside wrappers such as RepeatDataset, ConcatDataset."""
    if hasattr(dataset, 'dataset'):
        yield from _leaves(dataset.dataset)
    elif hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from _leaves(part)
    elif callable(getattr(dataset, 'get_data_info', None)):
        yield dataset


def _check_dataset(dataset: Any) -> None:
    name = type(dataset).__name__
    pipeline = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    loaders = {type(step).__name__: step for step in pipeline}
    files: dict[str, Any] = {}
    for number in tqdm(range(len(dataset)), f'checking files of {name}',
                       delay=5, disable=None, leave=False):
        for path, opener in _files(dataset.get_data_info(number), loaders):
            if path not in files:
                _check_file(path, name)
                files[path] = opener
    openable = [path for path, opener in files.items() if opener]
    for number in _spread(len(openable), _MAX_OPENED):
        files[openable[number]]()
        _check_last_block(openable[number])
    steps = _loading_steps(pipeline)
    for number in _spread(len(dataset) if steps else 0, _MAX_LOADED):
        sample = dataset.get_data_info(number)
        if _is_local(str(sample.get('img_path', ''))):
            for step in steps:
                sample = step.transform(sample)


def _spread(length: int, limit: int) -> list[int]:
    """At most ``limit`` numbers below ``length``, evenly spaced."""
    return [int(number) for number in np.linspace(
        0, length - 1, min(length, limit)).round()]


def _loading_steps(pipeline: Sequence[Any]) -> list[Any]:
    """The loaders at the head of a pipeline, changed to read all dates."""
    steps = []
    for step in pipeline:
        if type(step).__name__ not in _LOADERS:
            break
        step = copy.copy(step)
        # Nothing is drawn, so the check leaves the random state alone.
        if hasattr(step, 'num_dates'):
            step.num_dates = {}
        steps.append(step)
    return steps


def _files(info: Mapping[str, Any],
           loaders: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Local files of one sample, and how to open each (None: do not)."""
    single = loaders.get('LoadGeoTIFF')
    several = loaders.get('LoadMultiSensorTile')
    for sensor, paths in (info.get('paths') or {}).items():
        options = several.reader_options.get(sensor, {}) if several else {}
        for path in paths:
            yield path, several and partial(_open, path, sensor, options)
    path = info.get('img_path')
    if isinstance(path, str) and _is_local(path) and 'paths' not in info:
        yield path, single and partial(_open, path, single.sensor,
                                       single.options)
    path = info.get('label_path')
    if path is not None and 'LoadTileLabels' in loaders:
        yield path, partial(open_raster, path)
    path = info.get('seg_map_path')
    if isinstance(path, str) and _is_local(path) and any(
            'Annotation' in loader for loader in loaders):
        ours = 'LoadGeoTIFFAnnotations' in loaders
        yield path, partial(open_raster, path) if ours else None


def _open(path: str, sensor: Any, options: Mapping[str, Any]) -> None:
    RasterReader(path, sensor, **options).check_contract()


def _is_local(path: str) -> bool:
    return '://' not in path and not path.startswith('/vsi')


def _check_file(path: str, name: str) -> None:
    if not _is_local(path):
        return
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: no such file, but {name} lists it; put it there, or '
            'correct data_root, data_prefix and the suffixes of the config')
    if os.path.getsize(path) == 0:
        raise RasterContractError(
            f'{path}: the file has 0 bytes; copy or download it again, or '
            'take it out of the data set')


def _check_last_block(path: str) -> None:
    """Refuse a TIFF whose last block lies beyond its end."""
    file = open_raster(path)
    if file.driver != 'GTiff' or not os.path.isfile(path):
        return
    height, width = file.block_shapes[-1]
    block = f'{(file.width - 1) // width}_{(file.height - 1) // height}'
    offset, size = (
        file.get_tag_item(f'{key}_{block}', 'TIFF', bidx=file.count)
        for key in ('BLOCK_OFFSET', 'BLOCK_SIZE'))
    if offset and size and int(offset) + int(size) > os.path.getsize(path):
        raise RasterContractError(
            f'{path}: expected {int(offset) + int(size)} bytes as its header '
            f'says, found {os.path.getsize(path)}; the file is truncated, '
            'copy or download it again')
