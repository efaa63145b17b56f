# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Load label rasters and keep unmeasured pixels out of the loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform

from mmskysense.raster.band_contract import (
    Grid,
    RasterContractError,
    check_alignment,
)
from mmskysense.raster.open_files import open_raster, read_band
from mmskysense.raster.reader import RasterReader
from mmskysense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadGeoTIFFAnnotations(BaseTransform):
    """Load ``results['seg_map_path']``, a raster of class ids.

    Takes the place of mmseg's ``LoadAnnotations``; also reads signed labels
    (-1 for no label) and the file's own nodata value.

    Added key: gt_seg_map, uint8 (H, W), ``ignore_index`` where there is no
    label; it joins ``seg_fields``.

    Args:
        nodata: File value that means "no label", besides the file's own
            nodata value.
        label_map: File value -> class id; values that are not in it stay.
            None takes the dataset's ``label_map``.
        reduce_zero_label: File value 0 means "no label" and 1 is class 0.
            None takes the dataset's.
        num_classes: Labels must be below it. None takes the dataset's, or
            checks nothing but 0..255.
        ignore_index: Class id of pixels without a label.

    Raises:
        RasterContractError: Damaged file, several bands, a size or place that
            is not the image's, or a label outside the classes.
    """

    def __init__(self,
                 nodata: int | None = -1,
                 label_map: Mapping[int, int] | None = None,
                 reduce_zero_label: bool | None = None,
                 num_classes: int | None = None,
                 ignore_index: int = 255) -> None:
        self.nodata = nodata
        self.label_map = label_map
        self.reduce_zero_label = reduce_zero_label
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Read the label raster and add ``gt_seg_map``."""
        path = results['seg_map_path']
        raw, valid = self._read_one_band(path)
        shape = results.get('ori_shape')
        if shape is not None and raw.shape != tuple(shape[:2]):
            image = results.get('img_path', 'the image')
            raise RasterContractError(
                f'{path}: expected the size of {image} '
                f'{tuple(shape[:2])}, found {raw.shape}; label and image '
                'must be on one grid')
        _check_place(results.get('img_grid'), RasterReader(path).grid)
        labels = self._to_classes(raw, valid, results, path)
        results['gt_seg_map'] = labels
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    @staticmethod
    def _read_one_band(path: str) -> tuple[np.ndarray, np.ndarray]:
        """Values and validity of a file that must have one band."""
        count = open_raster(path).count
        if count != 1:
            raise RasterContractError(
                f'{path}: expected one band of class ids, found {count} bands'
                '; convert coloured labels to class ids first')
        return read_band(path)

    def _to_classes(self, raw: np.ndarray, valid: np.ndarray, results: dict,
                    path: str) -> np.ndarray:
        """Map file values to class ids, uint8."""
        if raw.dtype.kind == 'f':
            valid = valid & np.isfinite(raw)
            raw = np.where(valid, raw, 0)
            if (raw != np.rint(raw)).any():
                raise RasterContractError(
                    f'{path}: expected class ids, found fractions such as '
                    f'{raw[raw != np.rint(raw)][0]:g}; is this a label?')
        labels = raw.astype(np.int64)
        ignored = ~valid | (labels == self.ignore_index)
        if self.nodata is not None:
            ignored |= labels == self.nodata
        zero = self.reduce_zero_label
        if zero is None:
            zero = results.get('reduce_zero_label', False)
        if zero:
            ignored |= labels == 0
            labels = labels - 1
        mapping = self.label_map
        if mapping is None:
            mapping = results.get('label_map')
        if mapping:
            before = labels.copy()
            for old, new in mapping.items():
                labels[before == int(old)] = int(new)
            ignored |= labels == self.ignore_index
        self._check_range(labels, ignored, results, path, bool(zero))
        labels[ignored] = self.ignore_index
        return labels.astype(np.uint8)

    def _check_range(self, labels: np.ndarray, ignored: np.ndarray,
                     results: dict, path: str, zero: bool) -> None:
        classes = self.num_classes
        if classes is None:
            classes = results.get('num_classes', 256)
        wrong = (labels < 0) | (labels >= classes)
        wrong &= ~ignored
        if wrong.any():
            values = np.unique(labels[wrong]) + int(zero)
            shown = ', '.join(str(v) for v in values[:5])
            raise RasterContractError(
                f'{path}: expected class ids 0..{classes - 1} or '
                f'{self.ignore_index} (ignore), found {shown} in '
                f'{int(wrong.sum())} pixels; correct num_classes, or map the '
                'values with label_map or reduce_zero_label')

    def __repr__(self) -> str:
        return (f'LoadGeoTIFFAnnotations(nodata={self.nodata}, '
                f'num_classes={self.num_classes})')


def _check_place(image: Grid | None, label: Grid) -> None:
    """Refuse a label that lies elsewhere than the image.

    Nothing is known, and nothing refused, where a host's own loader read the
    image, or where one of the two has no coordinate reference system (PNG).
    """
    if image is not None and image.crs is not None and label.crs is not None:
        check_alignment([image, label])


@TRANSFORMS.register_module()
class IgnoreInvalidPixels(BaseTransform):
    """Set ``gt_seg_map`` to ignore where nothing was measured.

    Works before and after mmseg's geometric transforms, since ``valid_mask``
    moves with ``seg_fields``.

    Args:
        ignore_index: Class id that the loss ignores.

    Raises:
        ValueError: Mask and label differ in size.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Overwrite the labels of unmeasured pixels."""
        mask, labels = results['valid_mask'], results['gt_seg_map']
        if mask.shape != labels.shape:
            raise ValueError(
                f'IgnoreInvalidPixels: valid_mask is {mask.shape} and '
                f'gt_seg_map {labels.shape}; put this transform directly '
                'after LoadGeoTIFFAnnotations, and that before any resize')
        labels = labels.copy()
        labels[mask != 1] = self.ignore_index
        results['gt_seg_map'] = labels
        return results

    def __repr__(self) -> str:
        return f'IgnoreInvalidPixels(ignore_index={self.ignore_index})'
