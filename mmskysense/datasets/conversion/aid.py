# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""AID as published: 30 class folders of 600 x 600 pixels."""

from __future__ import annotations

from .runner import ConversionReport
from .scene_splits import SceneCollection, convert_scenes

#: Xia et al., IEEE TGRS 2017, table 1; 10,000 in all.
AID = SceneCollection(
    'AID',
    dict(
        Airport=360, BareLand=310, BaseballField=220, Beach=400, Bridge=360,
        Center=260, Church=240, Commercial=350, DenseResidential=410,
        Desert=300, Farmland=370, Forest=250, Industrial=390, Meadow=280,
        MediumResidential=290, Mountain=340, Park=350, Parking=390,
        Playground=370, Pond=420, Port=380, RailwayStation=260, Resort=290,
        River=410, School=300, SparseResidential=300, Square=330, Stadium=290,
        StorageTanks=360, Viaduct=420),
    size=600,
    ratios=(20, 50))


def convert_aid(root: str, out: str, workers: int = 1, skip_bad: bool = False,
                partial: bool = False,
                seed: int = 0) -> tuple[ConversionReport, dict]:
    """Convert the download; see ``tools/dataset_converters/aid.py``.

    Args:
        root: Folder of the class folders.
        out: Folder to write, ``data_root`` of the config.
        workers: Processes.
        skip_bad: List damaged images and go on.
        partial: Accept a part of the dataset.
        seed: Of the split lists.

    Returns:
        As :func:`.scene_splits.convert_scenes`.
    """
    return convert_scenes(root, out, AID, workers, skip_bad, partial, seed)
