# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Labelled images that a probe reads: folders with lists, or a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.raster.reader import RasterReader
from mmskysense.sensors import Sensor


@dataclass(frozen=True)
class LabelledImages:
    """Files and classes.

    Args:
        paths: One for each image.
        labels: int64 (N,); or (N, K) of 0 and 1 where an image may have
            several of the K classes.
        classes: Names in order of ids.
        reader_options: Of :class:`RasterReader` (bands, scale, offset,
            nodata).
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    reader_options: tuple[tuple[str, Any], ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several classes."""
        return self.labels.ndim == 2

    def subset(self, index: np.ndarray) -> LabelledImages:
        """The images at some indices (M,)."""
        return LabelledImages(
            tuple(self.paths[i] for i in index), self.labels[index],
            self.classes, self.reader_options)


def class_folder(root: str | os.PathLike) -> Path:
    """Where the class folders lie: ``root/images`` if there, or ``root``.

    Raises:
        FileNotFoundError: No folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{root}: expected a folder with one sub-folder for each class, '
            'found none; correct --data-root')
    return folder / 'images' if (folder / 'images').is_dir() else folder


def read_image_list(root: str | os.PathLike,
                    list_file: str | os.PathLike,
                    classes: Sequence[str] | None = None) -> LabelledImages:
    """Read a list of images in class folders.

    Args:
        root: Folder of the class folders, or their parent as ``images``.
        list_file: Lines ``Class/name.jpg``, or ``Class_1.jpg``.
        classes: Names in order of ids; the sub-folders in alphabetical order
            by default.

    Raises:
        FileNotFoundError: The folder, the list or a listed image is missing.
        ValueError: An unknown class, no image, or one listed twice.
    """
    from mmskysense.datasets import SceneDataset

    folder = class_folder(root)
    names = tuple(classes or sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir()))
    dataset = SceneDataset(
        ann_file=os.path.abspath(list_file), data_prefix=str(folder),
        metainfo=dict(classes=names), pipeline=[])
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    paths = tuple(sample['img_path'] for sample in samples)
    if len(set(paths)) < len(paths):
        twice = sorted({path for path in paths if paths.count(path) > 1})
        raise ValueError(f'{list_file}: {twice[0]} is listed more than once '
                         f'({len(twice)} such images); remove the repetition')
    return LabelledImages(
        paths, np.array([s['gt_label'] for s in samples], np.int64), names)


def check_split(train: LabelledImages, test: LabelledImages) -> None:
    """Refuse a test set that training has seen, or that cannot be passed.

    Raises:
        ValueError: An image is in both, or the test set has a class without
            a training image.
    """
    both = sorted({os.path.realpath(path) for path in train.paths}
                  & {os.path.realpath(path) for path in test.paths})
    if both:
        raise ValueError(f'{len(both)} images are in the training and in the '
                         f'test set, such as {both[0]}; take them out of one')
    if train.multi_label != test.multi_label:
        raise ValueError('one set has one class an image, the other several; '
                         'take both from one data set')
    if train.multi_label:  # a class without an image scores nothing
        return
    unseen = np.setdiff1d(test.labels, train.labels)
    if len(unseen):
        names = [test.classes[i] for i in unseen]
        raise ValueError(f'the test set has classes {names}, of which the '
                         'training set has no image; correct the lists')


class ImageBatches:
    """Reads, normalises and resizes images, batch by batch.

    Args:
        images: What to read.
        preprocessor: Whose normalisation.
        image_size: Side to which images are resized (bilinear, with
            antialiasing), or None for their own size.
        batch_size: Images in a batch.
        keep: Keep the pixels in memory for the next pass.
        progress: Name in front of a progress bar on stderr, '' for none.
        sensor: Sensor of the images; the preprocessor's by default.
    """

    def __init__(self,
                 images: LabelledImages,
                 preprocessor: MultiSensorDataPreprocessor,
                 image_size: int | None = None,
                 batch_size: int = 64,
                 keep: bool = False,
                 progress: str = '',
                 sensor: Sensor | None = None) -> None:
        self.images, self.preprocessor = images, preprocessor
        self.sensor = sensor or preprocessor.sensor
        self.image_size, self.batch_size = image_size, batch_size
        self.keep, self.progress = keep, progress
        self._kept: list[Tensor] = []

    def __iter__(self) -> Iterator[Tensor]:
        """Yield float32 (B, C, H, W) on the CPU, normalised."""
        starts = range(0, len(self.images), self.batch_size)
        # disable=None: no bar in a log file.
        bar = tqdm(starts, desc=self.progress, unit='batch', leave=False,
                   disable=None if self.progress else True)
        for number, start in enumerate(bar):
            if number < len(self._kept):
                yield self._kept[number]
                continue
            batch = self._read(
                self.images.paths[start:start + self.batch_size])
            if self.keep:
                self._kept.append(batch)
            yield batch

    def _read(self, paths: Sequence[str]) -> Tensor:
        batch: list[Tensor] = []
        sensor = self.sensor
        for path in paths:
            values, valid = RasterReader(
                path, sensor, **dict(self.images.reader_options)).read()
            image = self.preprocessor.normalize(
                torch.from_numpy(values), sensor, torch.from_numpy(valid))
            if self.image_size is not None and image.shape[-2:] != (
                    self.image_size, self.image_size):
                image = F.interpolate(
                    image[None], (self.image_size, self.image_size),
                    mode='bilinear', antialias=True, align_corners=False)[0]
            if batch and image.shape != batch[0].shape:
                raise ValueError(
                    f'{path}: is {tuple(image.shape[-2:])}, other images are '
                    f'{tuple(batch[0].shape[-2:])}; give --image-size')
            batch.append(image)
        return torch.stack(batch)
