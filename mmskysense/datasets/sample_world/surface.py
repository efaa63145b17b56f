# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What lies on the ground in a window: the layers every sensor looks at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .catalogue import LAND_COVER
from .phenology import field_reflectance
from .spectra import REFLECTANCE, material_index
from .window import Window


@dataclass
class Segment:
    """A piece of ground with one material.

    Args:
        cover: Land cover id.
        material: Row of the table of reflectances (the soil for a crop).
        tone: Factor on the reflectance.
        crop: Crop id, 0 if not farmed.
        shift: Days by which the crop is late.
        vigour: Density of the canopy.
        second: Second material, mixed in by ``mix`` (0 to 1).
        kind: Free word for the OSM-like map and radar, such as ``'runway'``.
        seasonal: ``'deciduous'`` or ``'grass'`` if it changes with the year.
    """

    cover: int
    material: int
    tone: float = 1.0
    crop: int = 0
    shift: float = 0.0
    vigour: float = 1.0
    second: int = 0
    mix: float = 0.0
    kind: str = ''
    seasonal: str = ''


@dataclass(frozen=True)
class Box:
    """A small object: an oriented rectangle in world metres.

    Args:
        name: Detection class.
        corners: (4, 2) world metres, in order around the rectangle.
    """

    name: str
    corners: np.ndarray


@dataclass
class Surface:
    """Co-registered layers of a window.

    Args:
        window: The window, margin included.
        segment: Row of ``segments`` per pixel, int32 (H, W).
        height: Height above ground in metres, float32 (H, W).
        texture: Factor on the reflectance, mean about 1, float32 (H, W).
        segments: The pieces of ground.
        boxes: Small objects whose centre lies in the window.
        ground: ``segment`` as it is beneath boats, aircraft and cars.
    """

    window: Window
    segment: np.ndarray
    height: np.ndarray
    texture: np.ndarray
    segments: list[Segment] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    ground: np.ndarray = field(
        default_factory=lambda: np.zeros((0, 0), np.int32))

    def add(self, cover: str, material: str, **kwargs: object) -> int:
        """Register a segment and return its id."""
        if isinstance(kwargs.get('second'), str):
            kwargs['second'] = material_index(str(kwargs['second']))
        self.segments.append(Segment(
            LAND_COVER.index(cover), material_index(material),
            **kwargs))  # type: ignore[arg-type]
        return len(self.segments) - 1

    def column(self, name: str) -> np.ndarray:
        """One attribute of all segments as an array (n,)."""
        return np.array([getattr(s, name) for s in self.segments])

    @property
    def cover(self) -> np.ndarray:
        """Land cover ids, uint8 (H, W)."""
        return self.column('cover').astype(np.uint8)[self.segment]

    def reflectance(self, day: float) -> np.ndarray:
        """Reflectance of every segment on a day, float32 (n, 10)."""
        table = REFLECTANCE[self.column('material')].copy()
        mix = self.column('mix')[:, None]
        table += mix * (REFLECTANCE[self.column('second')] - table)
        table *= self.column('tone')[:, None]
        seasonal = self.column('seasonal')
        shift = self.column('shift')
        green = season_of_leaves(day - shift)
        for name, colours in (
                ('deciduous', ('deciduous_bare', 'deciduous',
                               'deciduous_autumn')),
                ('grass', ('grass_dry', 'grass', 'grass_dry'))):
            rows = np.flatnonzero(seasonal == name)
            if len(rows):
                bare, leaf, late = (REFLECTANCE[material_index(c)]
                                    for c in colours)
                g = green[rows, None]
                autumn = np.clip((day - shift[rows] - 272) / 30, 0, 1)[:, None]
                full = leaf + autumn * (late - leaf)
                vigour = self.column('vigour')[rows, None]
                dull = bare if name == 'deciduous' else (
                    0.5 * bare + 0.5 * leaf)
                table[rows] = (dull + np.clip(g * vigour, 0, 1) * (full - dull)
                               ) * self.column('tone')[rows, None]
        crop = self.column('crop')
        rows = np.flatnonzero(crop)
        if len(rows):
            table[rows] = field_reflectance(
                crop[rows], day, shift[rows], self.column('vigour')[rows],
                table[rows])
        return table.astype(np.float32)


def season_of_leaves(day: np.ndarray) -> np.ndarray:
    """Green share of trees and grass over the year, 0 to 1 (ours)."""
    return (1 / (1 + np.exp(-(day - 108) / 8))
            - 1 / (1 + np.exp(-(day - 305) / 8)))
