# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Dense linear probing of a segmentation set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from torch import Tensor
from tqdm import tqdm

from ..pixel_baselines import (
    IGNORE,
    confusion_matrix,
    intersection_over_union,
)
from .confidence import bootstrap_interval
from .feature_encoder import FeatureEncoder
from .linear import LinearProbe, linear_probe
from .subsets import stratified_subset

# Fewer and shorter fits than for images: pixels are many (ours).
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
_MAX_ITER = 100


@dataclass(frozen=True)
class DenseOptions:
    """How to probe a segmentation set.

    Args:
        pixels: Labelled pixels drawn from the training set, evenly over its
            images.
        fraction: Share of the training images.
        device: Where the encoder runs.
        bfloat16: Run the encoder in bfloat16.
        progress: Show progress on stderr.
    """

    pixels: int = 10_000
    fraction: float = 1.0
    device: str = 'cpu'
    bfloat16: bool = False
    progress: bool = False


class _Sizes(NamedTuple):
    """Height and width of an input, without and with its padding."""

    image: tuple[int, int]
    padded: tuple[int, int]


def probe_segmentation(encoder: FeatureEncoder,
                       train: Any,
                       test: Any,
                       preprocessor: torch.nn.Module,
                       num_classes: int,
                       options: DenseOptions,
                       seed: int = 0) -> dict[str, Any]:
    """Classify every pixel by a linear model of its frozen features.

    Features are interpolated bilinearly to pixels; the model is fitted to
    some labelled pixels of the training images. C is chosen on a fifth of
    the training IMAGES, since neighbouring pixels are no independent check.

    Args:
        encoder: Its :meth:`FeatureEncoder.dense` is probed.
        train: Data set that gives ``inputs`` and a ``data_samples`` with
            ``gt_sem_seg`` (a mmseg pipeline without augmentation).
        test: Likewise; its pixels are judged.
        preprocessor: The config's data preprocessor.
        num_classes: Classes; 255 in a label does not count.
        options: See :class:`DenseOptions`.
        seed: Of the images and pixels that are drawn.

    Returns:
        For JSON: ``miou`` and ``miou_ci95``, ``top1`` (share of right
        pixels) and ``ci95``, intervals by the bootstrap over test images,
        ``iou`` of each class (None: neither there nor predicted),
        ``n_train``, ``n_test`` (images), ``n_pixels``, ``strength``,
        ``seconds``.

    Raises:
        ValueError: No labelled pixel, or fewer than two classes.
    """
    start = time.perf_counter()
    encoder.eval().to(options.device)
    preprocessor.to(options.device)
    chosen = stratified_subset(np.zeros(len(train), np.int64),
                               options.fraction, seed)
    features, labels, images = _draw_pixels(
        encoder, train, chosen, preprocessor, options, seed)
    held_images = stratified_subset(np.zeros(len(chosen), np.int64), 0.2,
                                    seed)
    # Of one image alone nothing can be held out: C as linear_probe's default.
    model = linear_probe(
        features, labels, np.flatnonzero(np.isin(images, held_images)),
        _STRENGTHS if len(chosen) > 1 else (1e-2, ), _MAX_ITER, seed)
    confusion = np.stack([
        confusion_matrix(label, found, num_classes) for label, found in
        _predictions(encoder, test, preprocessor, model, options)])
    total = confusion.sum(0)
    iou = intersection_over_union(total)
    return dict(
        miou=float(np.nanmean(iou)),
        miou_ci95=list(bootstrap_interval(confusion, resamples=2000,
                                          statistic=_mean_iou)),
        top1=float(np.trace(total) / max(total.sum(), 1)),
        ci95=list(bootstrap_interval(confusion, resamples=2000,
                                     statistic=_pixel_accuracy)),
        iou=[None if np.isnan(v) else float(v) for v in iou],
        n_train=len(chosen), n_test=len(confusion), n_pixels=len(labels),
        method='linear', fraction=options.fraction,
        feature_dims=features.shape[1], strength=model.strength,
        validation_pixel_accuracy=model.validation_top1,
        precision='bfloat16' if options.bfloat16 else 'float32',
        seconds=round(time.perf_counter() - start, 2))


def _maps(encoder: FeatureEncoder, dataset: Any, index: np.ndarray,
          preprocessor: torch.nn.Module, options: DenseOptions,
          name: str) -> Iterator[tuple[Tensor, np.ndarray, _Sizes]]:
    """Features (1, D, h, w), label (H, W) and the input's sizes."""
    bar = tqdm(index, desc=name, unit='image', leave=False,
               disable=None if options.progress else True)
    for number in bar:
        data = preprocessor(pseudo_collate([dataset[int(number)]]), False)
        inputs, sample = data['inputs'], data['data_samples'][0]
        if 'gt_sem_seg' not in sample:
            raise ValueError(f'{type(dataset).__name__}: sample {number} has '
                             'no gt_sem_seg; load annotations in the test '
                             'pipeline')
        label = sample.gt_sem_seg.data[0].cpu().numpy()
        shape = sample.metainfo.get('img_shape') or label.shape
        padded = sample.metainfo.get('pad_shape') or shape
        sizes = _Sizes((int(shape[0]), int(shape[1])),
                       (int(padded[0]), int(padded[1])))
        with torch.inference_mode(), torch.autocast(
                torch.device(options.device).type, torch.bfloat16,
                enabled=options.bfloat16):
            features = encoder.dense(inputs).float()
        yield features, label, sizes


def _draw_pixels(encoder: FeatureEncoder, dataset: Any, index: np.ndarray,
                 preprocessor: torch.nn.Module, options: DenseOptions,
                 seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (M, D), labels (M,) and image numbers (M,) of some pixels."""
    random = np.random.default_rng(seed)
    each = max(options.pixels // max(len(index), 1), 1)
    features, labels, images = [], [], []
    for number, (level, label, sizes) in enumerate(_maps(
            encoder, dataset, index, preprocessor, options,
            'training images')):
        known = np.flatnonzero(label != IGNORE)
        if not known.size:
            continue
        known = random.choice(known, min(each, known.size), replace=False)
        rows, columns = np.divmod(known, label.shape[1])
        # Centres of pixels in [-1, 1], as interpolate(align_corners=False).
        # The label may be on the grid from before the image was resized.
        reach = np.divide(sizes.image, sizes.padded)
        places = torch.from_numpy(np.stack(
            [(2 * columns + 1) / label.shape[1] * reach[1] - 1,
             (2 * rows + 1) / label.shape[0] * reach[0] - 1],
            axis=-1)).to(level)
        drawn = F.grid_sample(level, places[None, None], mode='bilinear',
                              padding_mode='border', align_corners=False)
        features.append(drawn[0, :, 0].T.cpu().numpy())
        labels.append(label.ravel()[known].astype(np.int64))
        images.append(np.full(known.size, number))
    if not features:
        raise ValueError('the training images have no labelled pixel')
    return (np.concatenate(features), np.concatenate(labels),
            np.concatenate(images))


def _predictions(encoder: FeatureEncoder, dataset: Any,
                 preprocessor: torch.nn.Module, model: LinearProbe,
                 options: DenseOptions
                 ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Label and predicted class ids (H, W) of every image."""
    weight = torch.from_numpy(model.weight).float().to(options.device)
    bias = torch.from_numpy(model.bias).float().to(options.device)
    for level, label, sizes in _maps(
            encoder, dataset, np.arange(len(dataset)), preprocessor, options,
            'test images'):
        # A linear model commutes with bilinear interpolation.
        scores = F.conv2d(level, weight[:, :, None, None], bias)
        scores = F.interpolate(scores, sizes.padded, mode='bilinear',
                               align_corners=False)
        scores = scores[:, :, :sizes.image[0], :sizes.image[1]]
        if sizes.image != label.shape:
            scores = F.interpolate(scores, label.shape, mode='bilinear',
                                   align_corners=False)
        yield label, model.classes[scores[0].argmax(0).cpu().numpy()]


def _mean_iou(confusion: np.ndarray) -> np.ndarray:
    """(R, N, K, K) over images to mIoU (R,)."""
    total = confusion.sum(1).astype(np.float64)
    hit = np.einsum('rkk->rk', total)
    union = total.sum(1) + total.sum(2) - hit
    iou = np.divide(hit, union, out=np.full_like(hit, np.nan),
                    where=union > 0)
    return np.nanmean(iou, axis=1)


def _pixel_accuracy(confusion: np.ndarray) -> np.ndarray:
    """(R, N, K, K) over images to the share of right pixels (R,)."""
    total = confusion.sum(1)
    return np.einsum('rkk->r', total) / np.maximum(total.sum((1, 2)), 1)
