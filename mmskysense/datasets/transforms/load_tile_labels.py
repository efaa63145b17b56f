# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Load the label raster of a tile, for image-text alignment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmskysense.raster.band_contract import (
    Grid,
    RasterContractError,
    check_alignment,
)
from mmskysense.raster.reader import RasterReader
from mmskysense.registry import TRANSFORMS

from .load_annotations import LoadGeoTIFFAnnotations


@TRANSFORMS.register_module()
class LoadTileLabels(LoadGeoTIFFAnnotations):
    """Load ``results['label_path']``, classes rasterised from a map.

    The raster covers the ground of the tile on a grid of its own, coarser or
    finer than any sensor's. Its classes are those of a table of class-name
    embeddings (spec section 3, ITA); pixels that nobody has mapped are not
    labelled. Comes after :class:`LoadMultiSensorTile`.

    Added key: tile_labels, uint8 (H, W), 255 where there is no label; (1, 1)
    of 255 for a tile without a label raster.

    Args:
        num_classes: Labels must be below it, at most 255: the number of rows
            of the table.
        nodata: File value that means "no label", besides 255 and the file's
            own nodata value.
        label_map: File value -> class id; values that are not in it stay.

    Raises:
        ValueError: ``num_classes`` out of range.
        RasterContractError: Damaged file, several bands, other ground than
            the images', or a label outside the classes.
    """

    def __init__(self,
                 num_classes: int,
                 nodata: int | None = None,
                 label_map: Mapping[int, int] | None = None) -> None:
        if not 1 <= num_classes <= 255:
            raise ValueError('LoadTileLabels: num_classes must be in 1..255, '
                             f'found {num_classes} (255 means no label)')
        super().__init__(
            nodata=nodata,
            label_map=label_map or {},
            reduce_zero_label=False,
            num_classes=num_classes)

    def transform(self, results: dict) -> dict:
        """Read the label raster and add ``tile_labels``."""
        path = results.get('label_path')
        if path is None:
            results['tile_labels'] = np.full((1, 1), self.ignore_index,
                                             np.uint8)
            return results
        raw, valid = self._read_one_band(path)
        _check_ground(results['tile_grid'], RasterReader(path).grid)
        results['tile_labels'] = self._to_classes(raw, valid, results, path)
        return results

    def __repr__(self) -> str:
        return (f'LoadTileLabels(num_classes={self.num_classes}, '
                f'nodata={self.nodata})')


def _check_ground(image: Grid, label: Grid) -> None:
    """Refuse a label that is known to lie elsewhere than the image.

    Where one of the two has no georeference, they must at least have the
    same shape on the ground, to half a pixel of the coarser one.
    """
    if image.crs is not None and label.crs is not None:
        check_alignment([image, label])
        return
    width = label.shape[0] * image.shape[1] / image.shape[0]
    if abs(width - label.shape[1]) > 0.5 * max(
            1.0, label.shape[1] / image.shape[1]):
        raise RasterContractError(
            f'{label.path}: expected labels of the same shape on the ground '
            f'as {image.path} {image.shape}, found {label.shape} (neither '
            'size nor a georeference says where they lie); cut both to the '
            'same window')
