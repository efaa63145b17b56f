# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What a segmentation model must beat: no image, and no neighbourhood.

Two baselines on the split, the classes and the metric of the model: the most
frequent class everywhere, and a linear model that sees one pixel at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from mmskysense.utils import require

IGNORE = 255


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray,
                     num_classes: int, ignore: int = IGNORE) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth: Integers, any shape; 0 to ``num_classes`` - 1, or ``ignore``.
        prediction: Integers of the same shape, 0 to ``num_classes`` - 1.
        num_classes: Classes.
        ignore: Truth that does not count.

    Returns:
        int64 (num_classes, num_classes), rows are the truth.

    Raises:
        ValueError: Shapes differ, or a class is out of range.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f'truth has shape {truth.shape}, prediction '
                         f'{prediction.shape}; they must be equal')
    counted = truth != ignore
    rows = truth[counted].astype(np.int64)
    columns = prediction[counted].astype(np.int64)
    for what, values in (('truth', rows), ('prediction', columns)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(
                f'{what} has class {values.max()} or {values.min()}, expected '
                f'0 to {num_classes - 1}')
    counts = np.bincount(rows * num_classes + columns,
                         minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """IoU of each class, as mmseg's ``IoUMetric`` defines it.

    Args:
        confusion: Of :func:`confusion_matrix`, over the whole split.

    Returns:
        float64 (num_classes,), 0 to 1; NaN for a class that is neither in
        the truth nor predicted. mIoU is the mean of the others.
    """
    hit = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hit
    return np.divide(hit, union, out=np.full_like(hit, np.nan),
                     where=union > 0)


@dataclass(frozen=True)
class Score:
    """Result of one method on a split.

    Args:
        name: What a person calls the method.
        iou: IoU of each class, 0 to 1, NaN where undefined.
        accuracy: Share of right pixels.
    """

    name: str
    iou: tuple[float, ...]
    accuracy: float

    @property
    def mean_iou(self) -> float:
        """mIoU, 0 to 1."""
        return float(np.nanmean(self.iou))

    @classmethod
    def from_confusion(cls, name: str, confusion: np.ndarray) -> Score:
        """Score of a confusion matrix of a whole split."""
        total = max(int(confusion.sum()), 1)
        return cls(name, tuple(float(v) for v in
                               intersection_over_union(confusion)),
                   float(np.trace(confusion) / total))

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file; NaN becomes null."""
        return dict(
            name=self.name, mean_iou=self.mean_iou, accuracy=self.accuracy,
            iou=[None if np.isnan(v) else v for v in self.iou])


def read_pairs(root: str | os.PathLike, split: str
               ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pictures and labels of ``root``/{hr_rgb,land_cover}/``split``.

    Yields:
        Name without suffix, uint8 (H, W, bands), uint8 (H, W).

    Raises:
        FileNotFoundError: No picture, or one without a label.
    """
    folder = Path(root) / 'hr_rgb' / split
    pictures = sorted(folder.glob('*.tif'))
    if not pictures:
        raise FileNotFoundError(f'{folder}: expected GeoTIFF pictures, found '
                                'none; make them with '
                                'tools/make_sample_data.py')
    for path in pictures:
        label = Path(root) / 'land_cover' / split / path.name
        if not label.is_file():
            raise FileNotFoundError(f'{label}: no label of {path}')
        with rasterio.open(path) as image, rasterio.open(label) as target:
            yield path.stem, image.read().transpose(1, 2, 0), target.read(1)


def majority_class(root: str | os.PathLike, num_classes: int,
                   train: str = 'train', test: str = 'test') -> Score:
    """The training split's most frequent class, everywhere.

    Args:
        root: Folder of the data, see :func:`read_pairs`.
        num_classes: Classes.
        train: Split that is counted.
        test: Split that is scored.
    """
    counts = np.zeros(num_classes, dtype=np.int64)
    for _, _, label in read_pairs(root, train):
        counts += np.bincount(label[label != IGNORE], minlength=num_classes)
    most = int(counts.argmax())
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    for _, _, label in read_pairs(root, test):
        confusion += confusion_matrix(label, np.full_like(label, most),
                                      num_classes)
    return Score.from_confusion('majority class', confusion)


def pixel_linear(root: str | os.PathLike, num_classes: int,
                 train: str = 'train', test: str = 'test',
                 samples: int = 60_000, seed: int = 0) -> Score:
    """Multinomial logistic regression on single pixels.

    Rare classes weigh more, by the inverse of their share: without that a
    linear model never answers with them, and its mIoU is lower.

    Args:
        root: Folder of the data, see :func:`read_pairs`.
        num_classes: Classes.
        train: Split that is fitted.
        test: Split that is scored.
        samples: Pixels to fit, drawn evenly from the pictures.
        seed: Of the draw.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: Fewer than two classes in the training pixels.
    """
    require('sklearn', 'the per-pixel linear baseline')
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(seed)
    pictures = sum(1 for _ in (Path(root) / 'hr_rgb' / train).glob('*.tif'))
    each = max(samples // max(pictures, 1), 1)
    pixels: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for _, image, label in read_pairs(root, train):
        measured = np.flatnonzero(label != IGNORE)
        chosen = random.choice(measured, min(each, measured.size),
                               replace=False)
        pixels.append(image.reshape(-1, image.shape[-1])[chosen])
        labels.append(label.ravel()[chosen])
    target = np.concatenate(labels)
    if len(np.unique(target)) < 2:
        raise ValueError(f'{root}: the training pixels have one class, a '
                         'linear model needs two')
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(max_iter=500, class_weight='balanced'))
    model.fit(np.concatenate(pixels).astype(np.float32), target)
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    for _, image, label in read_pairs(root, test):
        flat = image.reshape(-1, image.shape[-1]).astype(np.float32)
        found = model.predict(flat).reshape(label.shape)
        confusion += confusion_matrix(label, found, num_classes)
    return Score.from_confusion('linear model on pixels', confusion)


def score_predictions(root: str | os.PathLike, folder: str | os.PathLike,
                      num_classes: int, name: str,
                      test: str = 'test') -> Score:
    """Score class maps that a model wrote, e.g. mmseg's ``output_dir``.

    Args:
        root: Folder of the data, see :func:`read_pairs`.
        folder: One ``<tile>.png`` of class ids for each picture.
        num_classes: Classes.
        name: Of the model.
        test: Split that is scored.

    Raises:
        FileNotFoundError: A picture has no prediction.
    """
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    for tile, _, label in read_pairs(root, test):
        confusion += confusion_matrix(
            label, read_class_map(Path(folder) / f'{tile}.png'), num_classes)
    return Score.from_confusion(name, confusion)


def read_class_map(path: str | os.PathLike) -> np.ndarray:
    """Class ids (H, W) of a PNG.

    Raises:
        FileNotFoundError: No such file.
    """
    from PIL import Image
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no prediction of this name; run '
                                'tools/test.py with test_evaluator.output_dir')
    with Image.open(path) as image:
        return np.asarray(image)


def format_table(scores: Sequence[Score]) -> str:
    """One line for each method: mIoU and pixel accuracy in percent."""
    width = max(len(score.name) for score in scores)
    return '\n'.join(
        f'{score.name:{width}}  mIoU {100 * score.mean_iou:5.1f}  '
        f'pixel accuracy {100 * score.accuracy:5.1f}' for score in scores)
