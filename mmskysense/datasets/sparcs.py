# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SPARCS: clouds, shadows, water and snow in Landsat-8 scenes."""

from typing import Any

from mmskysense.registry import DATASETS

from .tiled_segmentation import TiledSegDataset

# The authors' five groups. That flooded ground counts as land is ours.
_GROUPS: dict[str, Any] = dict(
    classes=('shadow', 'water', 'snow or ice', 'land', 'cloud'),
    palette=[[0, 0, 0], [0, 0, 255], [120, 220, 255], [128, 128, 128],
             [255, 255, 255]])
_GROUP_OF_CODE = {0: 0, 1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 3}


@DATASETS.register_module()
class SPARCSDataset(TiledSegDataset):
    """SPARCS (Hughes and Kennedy, Remote Sensing 11(21), 2591, 2019).

    80 scenes of 1000x1000 pixels of 30 m with the mask codes 0 to 6 in this
    order. Metric: mIoU. Tiles are made by
    ``tools/dataset_converters/sparcs.py``.

    Args:
        groups: Merge the seven codes into the five groups on which the
            authors evaluate: shadow, water, snow or ice, land, cloud.
        **kwargs: Of :class:`TiledSegDataset`.
    """

    SENSOR = 'landsat8'
    METAINFO: dict = dict(
        classes=('cloud shadow', 'cloud shadow over water', 'water',
                 'snow or ice', 'land', 'cloud', 'flooded'),
        # Black, dark blue, blue, light blue, grey, white, yellow: the names
        # of the published colours; the exact values are ours.
        palette=[[0, 0, 0], [0, 0, 128], [0, 0, 255], [120, 220, 255],
                 [128, 128, 128], [255, 255, 255], [255, 255, 0]])

    def __init__(self, groups: bool = False, **kwargs: Any) -> None:
        if groups:
            kwargs.setdefault('metainfo', _GROUPS)
            kwargs.setdefault('label_map', _GROUP_OF_CODE)
        super().__init__(**kwargs)
