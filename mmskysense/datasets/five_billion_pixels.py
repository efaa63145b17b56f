# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Five-Billion-Pixels: land cover of China from Gaofen-2, 24 classes."""

from mmskysense.registry import DATASETS

from .tiled_segmentation import TiledSegDataset


@DATASETS.register_module()
class FiveBillionPixelsDataset(TiledSegDataset):
    """Five-Billion-Pixels (Tong et al., ISPRS Journal 196, 2023).

    150 Gaofen-2 scenes of 4 m, bands blue, green, red, near infrared;
    index 0 of the published labels is "unlabelled" and ignored, 1 to 24 are
    the classes below. Metric: mIoU. Tiles are made by
    ``tools/dataset_converters/fbp.py``.
    """

    SENSOR = 'gf2'
    METAINFO: dict = dict(
        classes=('industrial area', 'paddy field', 'irrigated field',
                 'dry cropland', 'garden land', 'arbor forest',
                 'shrub forest', 'park', 'natural meadow',
                 'artificial meadow', 'river', 'urban residential', 'lake',
                 'pond', 'fish pond', 'snow', 'bare land',
                 'rural residential', 'stadium', 'square', 'road', 'overpass',
                 'railway station', 'airport'),
        palette=[[200, 0, 0], [0, 200, 0], [150, 250, 0], [150, 200, 150],
                 [200, 0, 200], [150, 0, 250], [150, 150, 250],
                 [200, 150, 200], [250, 200, 0], [200, 200, 0], [0, 0, 200],
                 [250, 0, 150], [0, 150, 200], [0, 200, 250], [150, 200, 250],
                 [250, 250, 250], [200, 200, 200], [200, 150, 150],
                 [250, 200, 150], [150, 150, 0], [250, 150, 150],
                 [250, 150, 0], [250, 200, 250], [200, 150, 0]])
