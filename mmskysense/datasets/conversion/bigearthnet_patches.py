# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Patches of BigEarthNet, in both versions: one folder a patch and sensor.

Each band is a file of its own, at 10, 20 or 60 m. They are brought to one
file on the 10 m grid here and not when they are loaded: training then opens
one file in place of ten for each of half a million patches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.sensors import get_sensor

from .band_files import find_bands, read_bands
from .errors import DataError
from .files import write_geotiff
from .tiling import check_same_size

#: Sensor -> how the names of its patches begin.
PATCHES = {'s2_l2a': r'S2[A-D]_MSIL2A_\w+', 's1_grd': r'S1[A-D]_IW_GRDH_\w+'}


def find_folder(root: Path, sensor: str) -> Path:
    """The folder with one folder for each patch of a sensor.

    Args:
        root: The download; the folder is at most two levels below.
        sensor: ``s2_l2a`` or ``s1_grd``.

    Raises:
        DataError: No such folder.
    """
    pattern = re.compile(PATCHES[sensor])
    level = [root]
    for _ in range(3):
        below = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda e: e.name)
            except OSError:
                continue
            folders = [entry for entry in entries if entry.is_dir()]
            if any(pattern.fullmatch(entry.name) for entry in folders):
                return folder
            below += [Path(entry.path) for entry in folders]
        level = below
    raise DataError(root, f'expected a folder of {get_sensor(sensor).title} '
                    'patches at most two levels below, found none',
                    'unpack the archive there, or leave the sensor out of '
                    '--sensors')


@dataclass
class PatchRasters:
    """What :func:`write_rasters` has written of one patch.

    Args:
        files: Sensor -> file, relative to the output folder.
        bands: Sensor -> dict(count, sum, squares) of its bands.
    """

    files: dict[str, str] = field(default_factory=dict)
    bands: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_rasters(patch: str, folders: Mapping[str, Path],
                  out_dir: Path) -> PatchRasters:
    """Write one GeoTIFF for each sensor of a patch.

    Args:
        patch: Name, for messages.
        folders: Sensor -> folder of its band files.
        out_dir: Output folder.

    Raises:
        DataError: A band is missing, or sizes do not fit.
        ValueError: The sensors' images differ in size.
    """
    result = PatchRasters()
    shape: tuple[int, ...] | None = None
    for sensor, folder in folders.items():
        entry = get_sensor(sensor)
        stack = read_bands(find_bands(folder, entry.band_names),
                           resample=True, nodata=entry.nodata or 0)
        if shape is None:
            shape = stack.image.shape[1:]
        check_same_size(shape, stack.image.shape[1:], patch, str(folder))
        # One folder for each acquisition: a file system does not like half a
        # million files in one.
        name = f'{sensor}/{folder.name.rsplit("_", 2)[0]}/{folder.name}.tif'
        write_geotiff(out_dir / name, stack.image, stack.crs,
                      stack.transform, entry.nodata, entry.band_names)
        result.files[sensor] = name
        result.bands[sensor] = _band_sums(stack.image, entry.nodata)
    return result


def _band_sums(image: np.ndarray, nodata: float | None) -> dict[str, Any]:
    measured = np.isfinite(image).all(0) & (image != nodata).all(0)
    values = image[:, measured].astype(np.float64)
    return dict(count=values.shape[1], sum=values.sum(1).round(3).tolist(),
                squares=(values**2).sum(1).round(3).tolist())
