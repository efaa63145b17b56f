# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Objects as GeoPackage or GeoJSON, whole or not at all."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .detections import Detections
from .writer import check_output

DRIVERS = {'.gpkg': 'GPKG', '.geojson': 'GeoJSON'}


def to_map(corners: np.ndarray, transform: Any) -> np.ndarray:
    """Pixel coordinates (..., 2) of x, y to map coordinates."""
    x, y = corners[..., 0], corners[..., 1]
    return np.stack((transform.a * x + transform.b * y + transform.c,
                     transform.d * x + transform.e * y + transform.f), -1)


def check_vector_output(path: str | os.PathLike, crs: Any,
                        inputs: Sequence[str | os.PathLike] = ()) -> None:
    """Refuse a file that could not be written at the end.

    Raises:
        ValueError: An unknown suffix, or GeoJSON without a CRS.
        ImportError: geopandas is missing.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in DRIVERS:
        raise ValueError(f'{path}: expected a name that ends with one of '
                         f'{", ".join(DRIVERS)}, found {suffix or "none"}')
    if crs is None and suffix == '.geojson':
        raise ValueError(
            f'{path}: GeoJSON is in longitude and latitude, and the raster '
            'has no CRS; write a .gpkg, or georeference the raster')
    _geopandas()
    check_output(path, inputs)


def _geopandas() -> Any:
    try:
        return importlib.import_module('geopandas')
    except ImportError as error:
        raise ImportError(
            "'geopandas' is not installed but is needed to write objects: "
            'run `pip install geopandas -c requirements/constraints.txt`'
        ) from error


def write_detections(path: str | os.PathLike, found: Detections,
                     class_names: Sequence[str], crs: Any, transform: Any,
                     extra: Mapping[str, Any] | None = None) -> None:
    """Write objects as polygons with class, score and angle.

    Args:
        path: ``.gpkg`` (layer ``detections``, the raster's CRS) or
            ``.geojson`` (longitude and latitude on WGS 84, RFC 7946).
        found: In pixel coordinates of the raster.
        class_names: Of class 0, 1, ...
        crs: The raster's, or None.
        transform: Affine from (column, row) to coordinates.
        extra: Further attributes, the same for all objects.

    Raises:
        OSError: The file cannot be written.
        ValueError: See :func:`check_vector_output`.
    """
    check_vector_output(path, crs)
    geopandas = _geopandas()
    from shapely.geometry import Polygon
    path = Path(path)
    frame = geopandas.GeoDataFrame(
        dict(
            class_name=[class_names[label] for label in found.labels],
            class_id=found.labels,
            score=found.scores.round(6),
            angle=found.angles.round(4),
            **{name: [value] * len(found)
               for name, value in (extra or {}).items()}),
        geometry=[Polygon(ring) for ring in to_map(found.corners, transform)],
        crs=crs)
    driver = DRIVERS[path.suffix.lower()]
    if driver == 'GeoJSON':
        frame = frame.to_crs('EPSG:4326')
    with tempfile.TemporaryDirectory(
            prefix=f'.{path.name}.partial-', dir=path.parent) as folder:
        aside = Path(folder) / path.name
        options = dict(layer='detections') if driver == 'GPKG' else \
            dict(RFC7946='YES')
        try:
            frame.to_file(aside, driver=driver, engine='pyogrio',
                          geometry_type='Polygon', **options)
        except Exception as error:  # GDAL's own, by many names
            raise OSError(f'{path}: cannot be written ({error}); check free '
                          'space and permissions') from error
        os.replace(aside, path)
