# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Writes a whole sample world: tiles, scenes, annotations, index."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window as RasterWindow
from tqdm import tqdm

from .catalogue import CROP_TYPE, DETECTION, LAND_COVER, OSM, SCENE, ClassTable
from .ground import MARGIN, draw_surface
from .landscape import Landscape
from .optical import render_rgb
from .tile import (
    HR_DATES,
    TileJob,
    crop_margin,
    day_of_year,
    landscape_of,
    write_tile,
)
from .window import CRS, Window
from .writer import open_raster

SPLITS = ('train', 'val', 'test')
S2_DATES = ('2023-02-14', '2023-04-03', '2023-05-01', '2023-05-28',
            '2023-06-24', '2023-07-22', '2023-08-24', '2023-10-07')
S1_DATES = ('2023-02-10', '2023-04-05', '2023-05-04', '2023-06-02',
            '2023-07-01', '2023-07-30', '2023-08-28', '2023-10-09')
# Arguments of the two sizes that are used all the time.
PRESETS: dict[str, dict[str, Any]] = {
    'test': dict(tiles=(6, 2, 2), tile_size=160.0, scene_size=448),
    'demo': dict(tiles=(36, 8, 8), tile_size=320.0, scene_size=1536),
}
GAP = 500.0  # metres of unseen ground between two splits


def generate(root: str | os.PathLike[str],
             tiles: Sequence[int] = (60, 12, 12),
             tile_size: float = 320.0,
             scene_size: int = 1536,
             seed: int = 0,
             ground_sample_distance: float = 0.5,
             s2_dates: Iterable[str] = S2_DATES,
             s1_dates: Iterable[str] = S1_DATES,
             workers: int = 1,
             force: bool = False,
             progress: bool = True) -> Path:
    """Generate the sample world.

    The folder appears when it is complete: everything is written to a
    sibling folder that is renamed at the end.

    Args:
        root: Target folder; must not exist or be empty, unless ``force``.
        tiles: Number of training, validation and test tiles.
        tile_size: Side of a tile in metres, a multiple of 10.
        scene_size: Side of the larger scene in pixels.
        seed: The same seed gives the same files, byte for byte.
        ground_sample_distance: Pixel size of the RGB pictures in metres;
            10 must be a multiple of it.
        s2_dates: ISO dates of the Sentinel-2-like series.
        s1_dates: ISO dates of the Sentinel-1-like series.
        workers: Processes.
        force: Replace what is in ``root``.
        progress: Show a progress bar.

    Returns:
        The root.

    Raises:
        ValueError: An argument is out of range.
        FileExistsError: ``root`` is not empty and ``force`` is false.
    """
    root = Path(root)
    _check(tiles, tile_size, scene_size, seed, ground_sample_distance,
           workers)
    days = [_dates(name, value) for name, value in (
        ('s2_dates', s2_dates), ('s1_dates', s1_dates))]
    if root.exists() and not root.is_dir():
        raise FileExistsError(f'{root} is a file, expected a folder to '
                              'write the sample world to')
    if root.is_dir() and any(root.iterdir()) and not force:
        raise FileExistsError(
            f'{root} is not empty; choose another folder, or pass force=True '
            '(--force) to replace it')
    root.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f'.{root.name}.', dir=root.parent))
    try:
        windows, scene = lay_out(tiles, tile_size, scene_size,
                                 ground_sample_distance, seed)
        jobs: list[TileJob] = []
        for split in SPLITS:
            # mmpretrain expects every class in every split, even if empty.
            for scene_name in SCENE.names:
                (aside / 'classification' / split / scene_name.replace(
                    ' ', '_')).mkdir(parents=True)
            for window in windows[split]:
                number = len(jobs) + 1
                jobs.append(TileJob(aside, f'{number:04d}', number, split,
                                    window, seed, *days))
        entries = _render(jobs, workers, progress)
        write_scene(aside / 'scenes', 'valley', scene, seed)
        _write_json(aside, entries, jobs)
        _write_world(aside, _arguments(tiles, tile_size, scene_size, seed,
                                       ground_sample_distance), days)
        aside.chmod(0o755)
        if root.exists():
            shutil.rmtree(root)
        os.replace(aside, root)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return root


def _arguments(tiles: Sequence[int], tile_size: float, scene_size: int,
               seed: int, ground_sample_distance: float) -> dict[str, Any]:
    """The arguments that are recorded in ``world.json``."""
    return dict(seed=seed, tiles=list(tiles), tile_size=tile_size,
                scene_size=scene_size,
                ground_sample_distance=ground_sample_distance)


def _check(tiles: Sequence[int], tile_size: float, scene_size: int,
           seed: int, resolution: float, workers: int) -> None:
    if len(tiles) != 3 or any(int(n) != n or n < 0 for n in tiles):
        raise ValueError(f'tiles={tuple(tiles)}: expected three counts '
                         '(train, val, test), each 0 or more')
    if resolution <= 0 or abs(10 / resolution - round(10 / resolution)
                              ) > 1e-9 or not 0.2 <= resolution <= 2.5:
        raise ValueError(
            f'ground_sample_distance={resolution}: expected a divisor of '
            '10 m between 0.2 and 2.5, such as 0.5')
    if tile_size < 80 or abs(tile_size / 10 - round(tile_size / 10)) > 1e-9:
        raise ValueError(f'tile_size={tile_size}: expected a multiple of '
                         '10 m of at least 80')
    if scene_size < 64:
        raise ValueError(f'scene_size={scene_size}: expected at least 64 '
                         'pixels')
    if int(seed) != seed or seed < 0:
        raise ValueError(f'seed={seed}: expected an integer of 0 or more')
    if workers < 1:
        raise ValueError(f'workers={workers}: expected 1 or more')


def _dates(name: str, values: Iterable[str]) -> tuple[date, ...]:
    try:
        days = tuple(date.fromisoformat(str(v)) for v in values)
    except ValueError as error:
        raise ValueError(f'{name}: expected dates such as 2023-06-11, '
                         f'{error}') from None
    if len(set(days)) != len(days) or not days:
        raise ValueError(f'{name}: expected at least one date and each only '
                         f'once, found {[str(d) for d in days]}')
    return tuple(sorted(days))


def lay_out(tiles: Sequence[int], tile_size: float, scene_size: int,
            resolution: float, seed: int
            ) -> tuple[dict[str, list[Window]], Window]:
    """Place the splits side by side with a gap, the scene after them.

    Each part of the landscape is moved north or south to where it holds
    the most kinds of land use, so that small splits are complete.

    Returns:
        Windows of each split, and the window of the scene.
    """
    landscape = landscape_of(seed)
    pixels = round(tile_size / resolution)
    grid = round(10 / resolution)
    left = math.ceil(1000 / resolution / grid) * grid
    windows: dict[str, list[Window]] = {}
    for split, count in zip(SPLITS, tiles, strict=True):
        columns = max(math.ceil(math.sqrt(count)), 1)
        rows = max(math.ceil(count / columns), 1)
        top = _best_top(landscape, left * resolution, columns * tile_size,
                        rows * tile_size)
        top = math.ceil(top / resolution / grid) * grid
        windows[split] = [
            Window(left + (k % columns) * pixels,
                   top + (k // columns) * pixels, pixels, pixels,
                   resolution) for k in range(count)]
        left += columns * pixels + round(GAP / resolution)
        left = math.ceil(left / grid) * grid
    size = scene_size * resolution
    top = math.ceil(_best_top(landscape, left * resolution, size, size)
                    / resolution / grid) * grid
    return windows, Window(left, top, scene_size, scene_size, resolution)


def _best_top(landscape: Landscape, left: float, width: float,
              height: float) -> float:
    """The most varied of twenty positions north to south, in metres."""
    best, best_score = 1000.0, -1.0
    for k in range(20):
        top = 1000.0 + 120 * k
        inside = [
            landscape.land_use(i, j) for i, j in landscape.blocks_in(
                (left, top, left + width, top + height))
            if left + 30 < landscape.outline(i, j).mean(0)[0] < left + width
            - 30 and top + 30 < landscape.outline(i, j).mean(0)[1]
            < top + height - 30]
        x, y = (a.ravel() for a in np.meshgrid(
            np.arange(left, left + width, 20), np.arange(top, top + height,
                                                         20)))
        water = float((landscape.water_distance_at(
            np.stack([x, y], -1)) < -3).mean())
        # Rare land uses count, and so does open water.
        score = len(set(inside)) + 2 * min(water, 0.08) / 0.08
        if score > best_score + 1e-9:
            best, best_score = top, score
    return best


def _render(jobs: list[TileJob], workers: int,
            progress: bool) -> list[dict[str, Any]]:
    bar = dict(total=len(jobs), desc='sample world', unit='tile',
               disable=not progress)
    if workers == 1 or len(jobs) < 2:
        return [write_tile(job) for job in tqdm(jobs, **bar)]
    # Spawned, not forked: GDAL and torch threads do not survive a fork.
    context = multiprocessing.get_context('spawn')
    with context.Pool(min(workers, len(jobs))) as pool:
        return list(tqdm(pool.imap(write_tile, jobs), **bar))


def write_scene(folder: Path, name: str, window: Window, seed: int,
                chunk: int = 1024) -> None:
    """Write a larger picture and its land cover, ``chunk`` by ``chunk``.

    Memory is bounded by the chunk, so a scene may be of any size.
    """
    day = date(*HR_DATES[1])
    pictures = folder / f'{name}.tif', folder / f'{name}_land_cover.tif'
    with open_raster(pictures[0], window, 3, 'uint8', ('R', 'G', 'B'),
                     ACQUIRED=day.isoformat()) as rgb, open_raster(
            pictures[1], window, 1, 'uint8', ('land_cover', ),
            classes=LAND_COVER) as label:
        for row in range(0, window.height, chunk):
            for column in range(0, window.width, chunk):
                part = Window(window.column + column, window.row + row,
                              min(chunk, window.width - column),
                              min(chunk, window.height - row),
                              window.resolution)
                wide = part.pad(MARGIN)
                n = (wide.width - part.width) // 2
                surface = draw_surface(landscape_of(seed), wide)
                picture = render_rgb(surface, day_of_year(day), seed, 0)
                place = RasterWindow(column, row, part.width, part.height)
                rgb.write(crop_margin(picture, n).transpose(2, 0, 1),
                          window=place)
                label.write(crop_margin(surface.cover, n), 1, window=place)


def _write_json(root: Path, entries: list[dict[str, Any]],
                jobs: list[TileJob]) -> None:
    """Write the index and one COCO file for each split."""
    folder = root / 'detection'
    folder.mkdir()
    for split in SPLITS:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for entry, job in zip(entries, jobs, strict=True):
            if entry['split'] != split:
                continue
            images.append(dict(id=job.number, file_name=entry['hr_rgb'][0],
                               width=job.window.width,
                               height=job.window.height))
            for name, corners in entry['boxes']:
                annotations.append(_annotation(
                    len(annotations) + 1, job.number, name,
                    np.round(np.array(corners), 2)))
        (folder / f'{split}.json').write_text(json.dumps(dict(
            images=images, annotations=annotations,
            categories=[dict(id=k, name=n) for k, n in enumerate(
                DETECTION.names, 1)])))
    for entry in entries:
        del entry['boxes']
    (root / 'index.json').write_text(
        json.dumps(dict(version=1, tiles=entries), indent=1))


def _annotation(identity: int, image: int, name: str,
                corners: np.ndarray) -> dict[str, Any]:
    low, high = corners.min(0), corners.max(0)
    x, y = corners.T
    area = 0.5 * abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))
    return dict(id=identity, image_id=image,
                category_id=DETECTION.index(name) + 1,
                bbox=[round(float(v), 2) for v in (*low, *(high - low))],
                area=round(area, 2), iscrowd=0,
                segmentation=[[round(float(v), 2) for v in corners.ravel()]])


def _write_world(root: Path, arguments: dict[str, Any],
                 days: list[tuple[date, ...]]) -> None:
    def describe(table: ClassTable) -> dict[str, Any]:
        return dict(classes=list(table.names),
                    palette=[list(rgb) for rgb in table.palette])

    world = dict(
        version=1, crs=CRS, **arguments,
        s2_dates=[d.isoformat() for d in days[0]],
        s1_dates=[d.isoformat() for d in days[1]], ignore_index=255,
        land_cover=describe(LAND_COVER), crop_type=describe(CROP_TYPE),
        osm=describe(OSM), detection=describe(DETECTION),
        classification=describe(SCENE))
    (root / 'world.json').write_text(json.dumps(world, indent=1))
