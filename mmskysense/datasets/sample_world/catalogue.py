# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Classes of the sample world: names, train ids and colours."""

from __future__ import annotations

from dataclasses import dataclass

IGNORE = 255


@dataclass(frozen=True)
class ClassTable:
    """Names (the index is the id) and RGB colours of a label map."""

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(f'{len(self.names)} names, but '
                             f'{len(self.palette)} colours')

    def index(self, name: str) -> int:
        """Id of a class."""
        return self.names.index(name)

    def colour_map(self) -> dict[int, tuple[int, int, int, int]]:
        """Colour table in the form that rasterio writes."""
        table = {i: (*rgb, 255) for i, rgb in enumerate(self.palette)}
        table[IGNORE] = (0, 0, 0, 0)
        return table


def _table(**entries: tuple[int, int, int]) -> ClassTable:
    return ClassTable(
        tuple(name.replace('_', ' ') for name in entries),
        tuple(entries.values()))


# 'road' is every sealed or gravelled ground for traffic, 'forest' every
# tree crown, 'bare ground' mineral surface that is not farmed.
LAND_COVER = _table(
    cropland=(232, 200, 96), grassland=(150, 205, 110), forest=(38, 110, 52),
    water=(52, 120, 200), road=(120, 120, 120), building=(205, 60, 50),
    bare_ground=(190, 150, 115))

CROP_TYPE = _table(
    no_crop=(200, 200, 200), winter_wheat=(235, 205, 110),
    spring_barley=(215, 180, 140), rapeseed=(250, 235, 40),
    maize=(240, 140, 30), sugar_beet=(190, 60, 110), sunflower=(250, 180, 0),
    potato=(140, 90, 60), alfalfa=(90, 190, 90))

OSM = _table(
    farmland=(238, 240, 213), meadow=(205, 235, 176), forest=(173, 209, 158),
    water=(170, 211, 223), road=(250, 214, 164), track=(170, 130, 80),
    building=(217, 208, 201), parking=(220, 220, 240),
    quarry=(197, 195, 195), runway=(187, 187, 204))

CHANGE = _table(unchanged=(0, 0, 0), changed=(255, 60, 60))

DETECTION = _table(boat=(0, 160, 255), aircraft=(255, 80, 0),
                   car=(255, 225, 0))

SCENE = _table(
    cropland=(232, 200, 96), grassland=(150, 205, 110), forest=(38, 110, 52),
    water=(52, 120, 200), residential=(205, 60, 50),
    industrial=(160, 90, 160), bare_ground=(190, 150, 115),
    road=(120, 120, 120))
