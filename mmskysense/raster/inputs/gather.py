# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""All inputs of one map, the grid of the map, and the area that counts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..band_contract import RasterContractError
from .area import AreaOnGrid, read_area
from .dates import DateRange, by_day
from .image import InputImage
from .map_grid import (
    MapGrid,
    grid_of,
    grid_of_image,
    grid_of_images,
    overlaps,
    requested_grid,
)
from .open_input import open_input


@dataclass(frozen=True)
class MapInputs:
    """What a map is made from.

    Args:
        images: Images of each sensor, by day; the key None stands for a
            raster whose bands are read as they are.
        grid: Where the pixels of the map lie.
        area: Pixels of ``grid`` that count; None means all.
    """

    images: Mapping[str | None, Sequence[InputImage]]
    grid: MapGrid
    area: AreaOnGrid | None = None


def gather_inputs(specs: Mapping[str | None, str],
                  *,
                  dates: DateRange | str | None = None,
                  area: str | os.PathLike | None = None,
                  area_layer: str | None = None,
                  like: str | None = None,
                  crs: str | None = None,
                  resolution: float | None = None,
                  options: Mapping[str | None, Mapping[str, Any]]
                  | None = None,
                  **common: Any) -> MapInputs:
    """Open everything that one map is made from.

    Args:
        specs: Sensor to what :func:`open_input` takes. The first one gives
            the map's grid (its first day does, all tiles of it) unless
            another is asked for.
        dates: Days to keep, for all sensors.
        area: File with polygons; the grid is cut to them.
        area_layer: Layer of that file.
        like: Raster whose grid the map gets.
        crs: CRS of the map.
        resolution: Pixel size of the map in units of its CRS.
        options: Of :func:`open_input` for single sensors (``bands``,
            ``scale``, ...).
        **common: Of :func:`open_input` for all sensors.

    Raises:
        RasterContractError: An input cannot be read as its sensor, or lies
            elsewhere than the map; see also the parts.
        ValueError: ``like`` together with ``crs`` or ``resolution``, or no
            input.
    """
    if not specs:
        raise ValueError('expected at least one input, found none')
    if like is not None and (crs is not None or resolution is not None):
        raise ValueError(f'like={like} already says CRS and resolution; '
                         'leave crs= and resolution= out')
    if isinstance(dates, str):
        dates = DateRange.parse(dates)
    images = {
        sensor: open_input(spec, sensor, dates=dates,
                           **{**common, **((options or {}).get(sensor) or {})})
        for sensor, spec in specs.items()
    }
    grid = grid_of_images(by_day(next(iter(images.values())))[0])
    if like is not None:
        grid = grid_of(like)
    elif crs is not None or resolution is not None:
        grid = requested_grid(grid, crs, resolution)
    placed = None
    if area is not None:
        whole = read_area(area, area_layer).on_grid(
            grid.path, grid.crs, grid.transform, grid.shape)
        grid = grid.crop(whole.window)
        placed = whole.crop()
    for series in images.values():
        for image in series:
            _check_place(image, grid)
    return MapInputs(images, grid, placed)


def _check_place(image: InputImage, grid: MapGrid) -> None:
    """An input that shares no ground with the map is a mix-up."""
    own = grid_of_image(image)
    if not (own.has_place and grid.has_place):
        if own.has_place != grid.has_place:
            bare, other = (own, grid) if grid.has_place else (grid, own)
            raise RasterContractError(
                f'{bare.path}: expected CRS and geotransform, as '
                f'{other.path} has them, found none; georeference it '
                '(gdal_translate -a_srs -a_ullr)')
        return
    if not overlaps(grid, own):
        raise RasterContractError(
            f'{image.label}: expected ground inside the map {_text(grid)}, '
            f'found {_text(own)} (left, bottom, right, top); check the paths '
            'and the area')


def _text(grid: MapGrid) -> str:
    return '(' + ', '.join(f'{v:.8g}' for v in grid.bounds) + f') {grid.crs}'
