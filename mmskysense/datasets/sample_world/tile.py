# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Renders one tile of the sample world and writes all of its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...sensors import get_sensor
from .catalogue import CHANGE, CROP_TYPE, LAND_COVER, OSM, SCENE
from .ground import MARGIN, draw_surface
from .labels import change_map, crop_map, osm_map, pixel_boxes
from .landscape import Landscape
from .noise import place_rng
from .optical import date_seen, fractions, render_rgb, render_s2, sunlight
from .radar import render_s1
from .surface import Surface
from .window import CRS, Window
from .writer import write_raster

CHIP = 64  # pixels
CHIPS_A_TILE = 3  # of each scene: keeps the classes near balance
HR_DATES = ((2023, 4, 24), (2023, 6, 11), (2023, 8, 3), (2023, 9, 28))


@dataclass(frozen=True)
class TileJob:
    """What a worker needs to render one tile.

    Args:
        root: Folder under which files are written.
        identity: Name of the tile, such as ``'0007'``.
        number: Number of the tile in the whole world.
        split: ``'train'``, ``'val'`` or ``'test'``.
        window: The tile at high resolution.
        seed: Seed of the world.
        s2_dates: Days of the Sentinel-2-like series.
        s1_dates: Days of the Sentinel-1-like series.
    """

    root: Path
    identity: str
    number: int
    split: str
    window: Window
    seed: int
    s2_dates: tuple[date, ...]
    s1_dates: tuple[date, ...]


@lru_cache(4)
def landscape_of(seed: int) -> Landscape:
    """One plan per process, so that its caches are shared by tiles."""
    return Landscape(seed)


def day_of_year(day: date) -> int:
    """1 for the first of January."""
    return day.timetuple().tm_yday


def crop_margin(array: np.ndarray, margin: int) -> np.ndarray:
    """Cut a margin off the first two axes (H, W, ...)."""
    return array[margin:-margin, margin:-margin]


def write_tile(job: TileJob) -> dict[str, Any]:
    """Render a tile and write its rasters.

    Returns:
        The tile's entry of ``index.json`` and its boxes under ``'boxes'``.
    """
    landscape = landscape_of(job.seed)
    wide = job.window.pad(MARGIN)
    n = (wide.width - job.window.width) // 2
    before = draw_surface(landscape, wide)
    after = draw_surface(landscape, wide, year=1, after=True)
    rng = place_rng(job.seed, 960, job.number)
    flight, later = rng.integers(len(HR_DATES), size=2)
    first = date(*HR_DATES[flight])
    second = date(HR_DATES[later][0] + 1, *HR_DATES[later][1:])
    rgb = crop_margin(render_rgb(before, day_of_year(first), job.seed,
                                 job.number * 2), n)
    rgb_after = crop_margin(render_rgb(after, day_of_year(second), job.seed,
                                       job.number * 2 + 1), n)
    name = f'{job.split}/{job.identity}'
    path = {k: f'{k}/{name}.tif' for k in (
        'hr_rgb', 'hr_rgb_after', 'land_cover', 'crop_type', 'change',
        'osm')}
    bands = get_sensor('hr_rgb').band_names
    for key, picture, day in (('hr_rgb', rgb, first),
                              ('hr_rgb_after', rgb_after, second)):
        write_raster(job.root / path[key], picture.transpose(2, 0, 1),
                     job.window, bands, ACQUIRED=day.isoformat())
    cover = crop_margin(before.cover, n)
    for key, label, table in (
            ('land_cover', cover, LAND_COVER),
            ('change', crop_margin(change_map(before, after), n), CHANGE),
            ('osm', crop_margin(osm_map(before, job.seed), n), OSM)):
        write_raster(job.root / path[key], label, job.window, (key, ),
                     classes=table)
    entry: dict[str, Any] = dict(
        id=job.identity, split=job.split, hr_rgb=[path['hr_rgb']],
        hr_rgb_dates=[first.isoformat()])
    entry.update(_series(job, before, wide, path['crop_type']))
    _chips(job, before, rgb, n)
    boxes = pixel_boxes(before.boxes, job.window)
    _dota(job.root / f'detection_oriented/{name}.txt', boxes)
    entry.update(land_cover=path['land_cover'], osm=path['osm'],
                 crop_type=path['crop_type'], change=path['change'],
                 hr_rgb_after=[path['hr_rgb_after']],
                 hr_rgb_after_dates=[second.isoformat()],
                 bounds=list(job.window.bounds), crs=CRS)
    entry['boxes'] = [(k, c.tolist()) for k, c in boxes]
    return entry


def _series(job: TileJob, surface: Surface, wide: Window,
            crop_path: str) -> dict[str, list[str]]:
    """Write both 10 m series and the crop map."""
    factor = round(10 / wide.resolution)
    coarse = job.window.coarsen(factor)
    m = round(MARGIN / 10)

    def cut(share: np.ndarray) -> np.ndarray:
        return share[:, m:-m, m:-m]

    plain = fractions(surface, factor, 0.35)
    # Half the resolution is plenty for shadows inside 10 m pixels.
    light = sunlight(surface.height[::2, ::2], 172, 2 * wide.resolution)
    light = light.repeat(2, 0).repeat(2, 1) * surface.texture
    optical = cut(fractions(surface, factor, 0.45, light))
    radar = cut(fractions(surface, factor, 0.8))
    write_raster(job.root / crop_path, crop_map(surface, cut(plain)), coarse,
                 ('crop_type', ), classes=CROP_TYPE)
    out: dict[str, list[str]] = {}
    for kind, sensor, dates in ((0, 's2_l2a', job.s2_dates),
                                (1, 's1_grd', job.s1_dates)):
        paths, days = [], []
        for k, day in enumerate(dates):
            if not date_seen(job.seed, kind, job.number, k):
                continue
            doy = day_of_year(day)
            if kind == 0:
                array = render_s2(surface, optical, coarse, doy, job.seed, k)
            else:
                array = render_s1(surface, radar, coarse, doy, job.seed, k,
                                  job.number)
            if not np.nan_to_num(array).any():
                continue
            path = (f'{sensor}/{job.split}/{job.identity}/'
                    f'{day:%Y%m%d}.tif')
            write_raster(job.root / path, array, coarse,
                         get_sensor(sensor).band_names,
                         nodata=0 if kind == 0 else float('nan'),
                         ACQUIRED=day.isoformat())
            paths.append(path)
            days.append(day.isoformat())
        out[sensor], out[f'{sensor}_dates'] = paths, days
    return out


def _dota(path: Path, boxes: list[tuple[str, np.ndarray]]) -> None:
    """Write oriented boxes in the text format of the DOTA data set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ['imagesource:sample world', 'gsd:0.5']
    for name, corners in boxes:
        numbers = ' '.join(f'{v:.2f}' for v in corners.ravel())
        lines.append(f'{numbers} {name} 0')
    path.write_text('\n'.join(lines) + '\n')


def _chips(job: TileJob, surface: Surface, rgb: np.ndarray,
           margin: int) -> None:
    """Cut scene classification chips and sort them by what they show."""
    cover = crop_margin(surface.cover, margin)
    kinds = np.array([s.kind for s in surface.segments])
    industrial = crop_margin(np.isin(kinds, ('industrial', 'parking', 'yard')
                                     )[surface.segment], margin)
    taken: dict[str, int] = {}
    for n, (r, c) in enumerate((r, c)
                               for r in range(0, cover.shape[0] - CHIP + 1,
                                              CHIP)
                               for c in range(0, cover.shape[1] - CHIP + 1,
                                              CHIP)):
        box = (slice(r, r + CHIP), slice(c, c + CHIP))
        scene = scene_class(cover[box], industrial[box])
        if scene is None or taken.get(scene, 0) >= CHIPS_A_TILE:
            continue
        taken[scene] = taken.get(scene, 0) + 1
        window = Window(job.window.column + c, job.window.row + r, CHIP,
                        CHIP, job.window.resolution)
        write_raster(
            job.root / 'classification' / job.split
            / scene.replace(' ', '_') / f'{job.identity}_{n:03d}.tif',
            rgb[box].transpose(2, 0, 1), window,
            get_sensor('hr_rgb').band_names)


def scene_class(cover: np.ndarray, industrial: np.ndarray) -> str | None:
    """Scene of a chip, or ``None`` if it shows no scene clearly.

    Args:
        cover: Land cover ids (H, W).
        industrial: Where halls, yards and parking lots are, bool (H, W).
    """
    share = np.bincount(cover.ravel(), minlength=7) / cover.size
    names = LAND_COVER.names
    part = dict(zip(names, share[:len(names)], strict=True))
    if industrial.mean() > 0.55:
        return 'industrial'
    if part['building'] > 0.12:
        return 'residential' if industrial.mean() < 0.2 else None
    if part['road'] > 0.2:
        return 'road'
    for name in ('cropland', 'grassland', 'forest', 'water', 'bare ground'):
        if part[name] > 0.6:
            assert name in SCENE.names
            return name
    return None
