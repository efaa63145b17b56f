# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Load the labels of a pair of dates."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmskysense.registry import TRANSFORMS

from .load_annotations import LoadGeoTIFFAnnotations


@TRANSFORMS.register_module()
class LoadChangeAnnotations(BaseTransform):
    """Load ``seg_map_path`` and ``seg_map_path2``, class ids of two dates.

    Added key: gt_seg_map, uint8 (2, H, W), the earlier label and the later
    one; both are ``ignore_index`` where ``valid_mask`` says that nothing was
    measured.

    Args:
        ignore_index: Class id of pixels without a label.
        **options: Of :class:`LoadGeoTIFFAnnotations`.

    Raises:
        RasterContractError: As :class:`LoadGeoTIFFAnnotations`.
    """

    def __init__(self, ignore_index: int = 255, **options: object) -> None:
        self.ignore_index = ignore_index
        self.loader = LoadGeoTIFFAnnotations(
            ignore_index=ignore_index, **options)  # type: ignore[arg-type]

    def transform(self, results: dict) -> dict:
        """Read both rasters and stack them."""
        labels = []
        for key in ('seg_map_path', 'seg_map_path2'):
            # Its own list of fields: the loader notes each of its maps there.
            one = {**results, 'seg_map_path': results[key], 'seg_fields': []}
            labels.append(self.loader.transform(one)['gt_seg_map'])
        stack = np.stack(labels)
        if 'valid_mask' in results:
            stack[:, results['valid_mask'] != 1] = self.ignore_index
        results['gt_seg_map'] = stack
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'LoadChangeAnnotations({self.loader})'
