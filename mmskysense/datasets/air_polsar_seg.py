# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""AIR-PolSAR-Seg: terrain from fully polarimetric Gaofen-3, 6 classes."""

from mmskysense.registry import DATASETS

from .tiled_segmentation import TiledSegDataset


@DATASETS.register_module()
class AIRPolSARSegDataset(TiledSegDataset):
    """AIR-PolSAR-Seg (Wang et al., IEEE JSTARS 15, 2022).

    500 patches of 512x512 pixels of 8 m, amplitudes HH, HV, VH, VV; black
    label pixels are ignored. Metric: mIoU. Images are made by
    ``tools/dataset_converters/air_polsar_seg.py``.
    """

    SENSOR = 'gf3_polsar'
    METAINFO: dict = dict(
        classes=('industrial area', 'natural area', 'water', 'land use',
                 'housing area', 'other'),
        palette=[[0, 0, 255], [0, 255, 0], [0, 255, 255], [255, 0, 0],
                 [255, 255, 0], [255, 255, 255]])
