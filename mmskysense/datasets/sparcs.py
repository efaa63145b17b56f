# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""SPARCS: clouds, shadows, water and snow in Landsat-8 scenes."""

from mmskysense.registry import DATASETS

from .tiled_segmentation import TiledSegDataset


@DATASETS.register_module()
class SPARCSDataset(TiledSegDataset):
    """SPARCS (Hughes and Kennedy, Remote Sensing 11(21), 2591, 2019).

    80 scenes of 1000x1000 pixels of 30 m with the mask codes 0 to 6 in this
    order. Metric: mIoU. Tiles are made by
    ``tools/dataset_converters/sparcs.py``.

    The authors evaluate five groups of the codes. For these, pass
    ``label_map={1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 3}`` with five classes
    (shadow, water, snow or ice, land, cloud); that flooded ground counts as
    land there is ours.
    """

    SENSOR = 'landsat8'
    METAINFO: dict = dict(
        classes=('cloud shadow', 'cloud shadow over water', 'water',
                 'snow or ice', 'land', 'cloud', 'flooded'),
        # Black, dark blue, blue, light blue, grey, white, yellow: the names
        # of the published colours; the exact values are ours.
        palette=[[0, 0, 0], [0, 0, 128], [0, 0, 255], [120, 220, 255],
                 [128, 128, 128], [255, 255, 255], [255, 255, 0]])
