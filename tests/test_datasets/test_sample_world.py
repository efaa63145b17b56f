# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The sample world: determinism, registration, labels and radiometry."""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from mmskysense.datasets.sample_world import (
    CROP_TYPE,
    DETECTION,
    LAND_COVER,
    OSM,
    SCENE,
    generate,
)
from mmskysense.datasets.sample_world.ground import draw_surface
from mmskysense.datasets.sample_world.labels import pixel_boxes
from mmskysense.datasets.sample_world.landscape import Landscape
from mmskysense.datasets.sample_world.noise import (
    fractal_noise,
    noise_at,
    place_hash,
    place_number,
    smooth_noise,
)
from mmskysense.datasets.sample_world.optical import (
    fractions,
    render_rgb,
    render_s2,
)
from mmskysense.datasets.sample_world.phenology import (
    CROPS,
    cover_fractions,
    field_reflectance,
)
from mmskysense.datasets.sample_world.radar import (
    LOOKS,
    backscatter,
    render_s1,
)
from mmskysense.datasets.sample_world.spectra import reflectance
from mmskysense.datasets.sample_world.window import Window
from mmskysense.sensors import get_sensor

SMALL = dict(tiles=(2, 1, 0), tile_size=80.0, scene_size=96,
             s2_dates=('2023-05-01', '2023-07-22'), s1_dates=('2023-05-04', ),
             progress=False)


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()
                                                     ).hexdigest()
            for p in sorted(root.rglob('*')) if p.is_file()}


@pytest.fixture(scope='module')
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp('world') / 'one', seed=3, **SMALL)


@pytest.fixture(scope='module')
def surface():
    return draw_surface(Landscape(0), Window(2400, 2800, 800, 800))


@pytest.fixture(scope='module')
def index(sample_world: Path) -> dict:
    return json.loads((Path(sample_world) / 'index.json').read_text())


# -- the whole world ---------------------------------------------------


def test_same_seed_same_bytes(small: Path, tmp_path: Path) -> None:
    again = generate(tmp_path / 'again', seed=3, workers=2, **SMALL)
    assert digests(again) == digests(small)


def test_another_seed_is_another_world(small: Path, tmp_path: Path) -> None:
    other = digests(generate(tmp_path / 'other', seed=4, **SMALL))
    one = digests(small)
    pictures = [p for p in one if p.startswith('hr_rgb/')]
    assert pictures and all(one[p] != other[p] for p in pictures)


def test_index_names_every_tile_file(sample_world: Path,
                                     index: dict) -> None:
    root = Path(sample_world)
    keys = {'id', 'split', 'hr_rgb', 'hr_rgb_dates', 's2_l2a',
            's2_l2a_dates', 's1_grd', 's1_grd_dates', 'land_cover', 'osm',
            'bounds', 'crs'}
    assert index['version'] == 1 and index['tiles']
    named = set()
    for tile in index['tiles']:
        assert keys <= set(tile)
        for sensor in ('hr_rgb', 's2_l2a', 's1_grd'):
            assert len(tile[sensor]) == len(tile[f'{sensor}_dates'])
            assert tile[f'{sensor}_dates'] == sorted(tile[f'{sensor}_dates'])
            named.update(tile[sensor])
        named.update((tile['land_cover'], tile['osm'], tile['crop_type'],
                      tile['change'], *tile['hr_rgb_after']))
    assert len({t['id'] for t in index['tiles']}) == len(index['tiles'])
    on_disk = {str(p.relative_to(root)) for folder in (
        'hr_rgb', 'hr_rgb_after', 's2_l2a', 's1_grd', 'land_cover', 'osm',
        'crop_type', 'change') for p in (root / folder).rglob('*.tif')}
    assert named == on_disk


def test_world_describes_all_classes(sample_world: Path) -> None:
    world = json.loads((Path(sample_world) / 'world.json').read_text())
    for key, table in (('land_cover', LAND_COVER), ('crop_type', CROP_TYPE),
                       ('osm', OSM), ('detection', DETECTION),
                       ('classification', SCENE)):
        assert world[key]['classes'] == list(table.names)
        assert len(world[key]['palette']) == len(table.names)


def test_sensors_and_labels_are_registered(sample_world: Path,
                                           index: dict) -> None:
    root = Path(sample_world)
    for tile in index['tiles']:
        for path in (*tile['hr_rgb'], *tile['hr_rgb_after'], *tile['s2_l2a'],
                     *tile['s1_grd'], tile['land_cover'], tile['osm'],
                     tile['crop_type'], tile['change']):
            with rasterio.open(root / path) as source:
                assert source.crs.to_string() == tile['crs']
                assert tuple(source.bounds) == tuple(tile['bounds']), path


@pytest.mark.parametrize(('sensor', 'dtype'), [
    ('hr_rgb', 'uint8'), ('s2_l2a', 'uint16'), ('s1_grd', 'float32')])
def test_files_keep_the_contract_of_the_sensor(
        sample_world: Path, index: dict, sensor: str, dtype: str) -> None:
    contract = get_sensor(sensor)
    low, high = contract.valid_range
    for tile in index['tiles']:
        for path in tile[sensor]:
            with rasterio.open(Path(sample_world) / path) as source:
                assert source.descriptions == contract.band_names
                assert set(source.dtypes) == {dtype}
                values = source.read()
            values = values[np.isfinite(values)]
            assert values.min() >= low and values.max() <= high


def test_series_have_gaps_and_clouds(sample_world: Path,
                                     index: dict) -> None:
    root = Path(sample_world)
    counts = {len(t['s2_l2a']) for t in index['tiles']} | {
        len(t['s1_grd']) for t in index['tiles']}
    assert len(counts) > 1  # some dates are missing for some tiles
    cloudy = 0
    for tile in index['tiles']:
        for path in tile['s2_l2a']:
            with rasterio.open(root / path) as source:
                assert source.nodata == 0
                cloudy += bool((source.read(1) > 3500).mean() > 0.2)
    assert cloudy > 0


def test_splits_do_not_touch(index: dict) -> None:
    boxes: dict[str, np.ndarray] = {}
    for split in ('train', 'val', 'test'):
        bounds = np.array([t['bounds'] for t in index['tiles']
                           if t['split'] == split])
        boxes[split] = np.r_[bounds[:, :2].min(0), bounds[:, 2:].max(0)]
    for a, b in (('train', 'val'), ('train', 'test'), ('val', 'test')):
        gap = max(boxes[b][0] - boxes[a][2], boxes[a][0] - boxes[b][2])
        assert gap >= 100


def test_scene_lies_outside_all_tiles(sample_world: Path,
                                      index: dict) -> None:
    scenes = sorted((Path(sample_world) / 'scenes').glob('*.tif'))
    assert len(scenes) == 2
    with rasterio.open(scenes[0]) as rgb, rasterio.open(scenes[1]) as truth:
        assert rgb.bounds == truth.bounds and rgb.shape == truth.shape
        left = rgb.bounds.left
    assert all(t['bounds'][2] < left for t in index['tiles'])


def test_label_maps_use_known_ids(sample_world: Path, index: dict) -> None:
    root = Path(sample_world)
    seen = set()
    for tile in index['tiles']:
        with rasterio.open(root / tile['land_cover']) as source:
            assert source.colormap(1)[3][:3] == LAND_COVER.palette[3]
            values = set(np.unique(source.read(1)).tolist())
        assert values <= set(range(len(LAND_COVER.names)))
        seen |= values
        with rasterio.open(root / tile['osm']) as source:
            osm = source.read(1)
        assert set(np.unique(osm).tolist()) <= {*range(len(OSM.names)), 255}
        with rasterio.open(root / tile['change']) as source:
            assert set(np.unique(source.read(1)).tolist()) <= {0, 1}
    assert len(seen) >= 6


def test_classification_chips(sample_world: Path) -> None:
    root = Path(sample_world) / 'classification'
    chips = list(root.glob('*/*/*.tif'))
    names = {p.parent.name for p in chips}
    assert len(names) >= 6
    assert names <= {n.replace(' ', '_') for n in SCENE.names}
    with rasterio.open(chips[0]) as source:
        assert source.shape == (64, 64) and source.count == 3


# -- boxes -------------------------------------------------------------


def test_boxes_agree_with_their_quadrilaterals(sample_world: Path) -> None:
    total = 0
    for split in ('train', 'val', 'test'):
        coco = json.loads((Path(sample_world) / 'detection' / f'{split}.json'
                           ).read_text())
        images = {i['id']: i for i in coco['images']}
        for item in coco['annotations']:
            total += 1
            image = images[item['image_id']]
            quad = np.array(item['segmentation'][0]).reshape(4, 2)
            x, y, w, h = item['bbox']
            np.testing.assert_allclose(
                (x, y, x + w, y + h), (*quad.min(0), *quad.max(0)),
                atol=0.011)
            assert x >= 0 and y >= 0
            assert x + w <= image['width'] + 0.01
            assert y + h <= image['height'] + 0.01
            # Opposite sides of a rectangle are equal.
            sides = np.hypot(*(quad - np.roll(quad, 1, 0)).T)
            np.testing.assert_allclose(sides[:2], sides[2:], atol=0.05)
            assert item['area'] == pytest.approx(sides[0] * sides[1],
                                                 rel=0.02)
        for image in images.values():
            text = (Path(sample_world) / 'detection_oriented' / split
                    / f"{Path(image['file_name']).stem}.txt").read_text()
            lines = text.splitlines()[2:]
            assert len(lines) == sum(a['image_id'] == image['id']
                                     for a in coco['annotations'])
            assert all(line.split()[8] in DETECTION.names for line in lines)
    assert total > 0


def test_objects_stand_where_they_belong(surface) -> None:
    cover = surface.cover
    allowed = {'boat': 3, 'aircraft': 4, 'car': 4}
    boxes = pixel_boxes(surface.boxes, surface.window)
    assert {name for name, _ in boxes} >= {'boat', 'car'}
    kinds = surface.column('kind')
    for name, corners in boxes:
        column, row = np.floor(corners.mean(0)).astype(int)
        assert cover[row, column] == allowed[name]
        assert kinds[surface.segment[row, column]] == name


# -- one landscape -----------------------------------------------------


@settings(max_examples=5, deadline=None)
@given(dx=st.integers(0, 120), dy=st.integers(0, 120),
       seed=st.integers(0, 50))
def test_windows_of_the_same_place_agree(dx: int, dy: int,
                                         seed: int) -> None:
    """What is drawn does not depend on the window it is seen through."""
    landscape = Landscape(seed)
    whole = draw_surface(landscape, Window(2000, 1500, 420, 420))
    part = draw_surface(landscape, Window(2000 + dx, 1500 + dy, 300, 300))
    m = 80  # crowns and objects that reach in from outside are cut there
    a = whole.cover[dy + m:dy + 300 - m, dx + m:dx + 300 - m]
    b = part.cover[m:-m, m:-m]
    assert (a != b).mean() < 0.002


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40), i=st.integers(-2**40, 2**40),
       j=st.integers(-2**40, 2**40))
def test_plain_and_array_hash_agree(seed: int, i: int, j: int) -> None:
    value = place_number(seed, i, j)
    assert 0 <= value < 1
    assert value == float(place_hash(seed, i, np.array([j]))[0])


def test_noise_at_points_is_the_noise_of_the_raster() -> None:
    window = Window(311, 97, 40, 30)
    grid = smooth_noise(window, 17.0, 5)
    x, y = np.meshgrid(window.x, window.y)
    np.testing.assert_allclose(
        noise_at(x.ravel(), y.ravel(), 17.0, 5).reshape(30, 40), grid,
        atol=2e-5)
    wide = fractal_noise(Window(0, 0, 900, 900), 8.0, 1)
    assert abs(wide.mean()) < 0.1 and 0.85 < wide.std() < 1.15


def test_change_is_construction_and_clearing() -> None:
    landscape = Landscape(0)
    window = Window(2400, 2800, 800, 800)
    before = draw_surface(landscape, window)
    after = draw_surface(landscape, window, year=1, after=True)
    changed = before.cover != after.cover
    assert 0 < changed.mean() < 0.15
    # Crops rotate everywhere, but that is not a change of land cover.
    field = (before.cover == 0) & (after.cover == 0)
    crop = [s.column('crop')[s.segment][field] for s in (before, after)]
    assert (crop[0] != crop[1]).mean() > 0.9


# -- radiometry --------------------------------------------------------


def ndvi(spectrum: np.ndarray) -> np.ndarray:
    red, nir = spectrum[..., 2], spectrum[..., 6]
    return (nir - red) / (nir + red)


@settings(max_examples=30, deadline=None)
@given(day=st.integers(1, 366), shift=st.floats(-25, 25),
       vigour=st.floats(0.4, 1.3))
def test_covers_of_a_field_sum_to_one(day: int, shift: float,
                                      vigour: float) -> None:
    crops = np.arange(1, len(CROPS) + 1)
    share = cover_fractions(crops, day, np.full(8, shift),
                            np.full(8, vigour))
    assert (share >= 0).all()
    np.testing.assert_allclose(share.sum(1), 1, atol=1e-9)


def test_every_crop_has_its_own_year() -> None:
    crops = np.arange(1, len(CROPS) + 1)
    soil = np.repeat(reflectance('soil_loam')[None], len(crops), 0)
    year = np.stack([
        ndvi(field_reflectance(crops, day, np.zeros(8), np.ones(8), soil))
        for day in range(15, 360, 10)], 1)
    assert year.min() > 0 and (year.max(1) > 0.7).all()
    for a in range(len(crops)):
        for b in range(a):
            assert np.abs(year[a] - year[b]).max() > 0.1, (a + 1, b + 1)
    wheat, maize = CROP_TYPE.index('winter wheat') - 1, CROP_TYPE.index(
        'maize') - 1
    assert year[wheat].argmax() < year[maize].argmax()


def test_share_of_segments_keeps_the_area(surface) -> None:
    share = fractions(surface, 20, 0.4)
    assert share.shape == (len(surface.segments), 40, 40)
    np.testing.assert_allclose(share.sum(0), 1, atol=1e-4)


def test_sentinel_2_shows_vegetation_and_water(surface) -> None:
    share = fractions(surface, 20, 0.4)
    window = surface.window.coarsen(20)
    clear = [render_s2(surface, share, window, 172, 0, d) for d in range(12)]
    clear = [c for c in clear if c.all() and c[0].mean() < 1000]
    assert clear
    value = ndvi(np.moveaxis(clear[0].astype(float), 0, -1))
    cover = surface.column('cover')
    pure = {k: share[cover == k].sum(0) > 0.95 for k in (2, 3)}
    assert pure[2].any() and pure[3].any()
    assert np.median(value[pure[2]]) > 0.6
    assert np.median(value[pure[3]]) < 0.1


def test_speckle_has_the_looks_of_the_product(surface) -> None:
    share = np.zeros((len(surface.segments), 120, 120), np.float32)
    grass = int(np.flatnonzero(surface.column('kind') == 'verge')[0])
    share[grass] = 1
    window = Window(40, 40, 120, 120, 10.0)
    images = (render_s1(surface, share, window, 160, 0, d, 1)
              for d in range(20))
    image = next(i for i in images if np.isfinite(i).all())
    power = 10**(image / 10)
    looks = power.mean((1, 2))**2 / power.var((1, 2))
    np.testing.assert_allclose(looks, LOOKS, rtol=0.1)


def test_radar_levels_are_ordered(surface) -> None:
    power = backscatter(surface, 172, 0.0, 0.0)
    cover, kind = surface.column('cover'), surface.column('kind')
    water = power[kind == 'water'].max(0)
    forest = power[kind == 'forest'].mean(0)
    house = power[cover == 5].mean(0)
    assert (water < forest).all() and forest[0] < house[0]
    assert (power[:, 1] < power[:, 0]).all()  # VH below VV


def test_flights_differ_in_light(surface) -> None:
    one, two = (render_rgb(surface, 162, 0, k).astype(float)
                for k in (1, 2))
    assert one.shape == (800, 800, 3)
    assert np.abs(one.mean((0, 1)) - two.mean((0, 1))).max() > 4


# -- bad arguments -----------------------------------------------------


@pytest.mark.parametrize(('change', 'message'), [
    (dict(tiles=(1, 2)), 'expected three counts'),
    (dict(tiles=(1, -1, 0)), 'expected three counts'),
    (dict(tile_size=85.0), 'multiple of 10'),
    (dict(tile_size=40.0), 'at least 80'),
    (dict(scene_size=8), 'at least 64'),
    (dict(seed=-1), 'integer of 0 or more'),
    (dict(workers=0), '1 or more'),
    (dict(ground_sample_distance=0.3), 'divisor'),
    (dict(s2_dates=('yesterday', )), 's2_dates'),
    (dict(s1_dates=()), 'at least one date'),
    (dict(s1_dates=('2023-05-04', '2023-05-04')), 'only once'),
])
def test_bad_arguments_are_refused(tmp_path: Path, change: dict,
                                   message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / 'world', **{**SMALL, **change})
    assert list(tmp_path.iterdir()) == []


def test_a_used_folder_is_not_overwritten(small: Path) -> None:
    before = digests(small)
    with pytest.raises(FileExistsError, match='is not empty'):
        generate(small, seed=5, **SMALL)
    assert digests(small) == before


def test_force_replaces(tmp_path: Path) -> None:
    root = tmp_path / 'world'
    root.mkdir()
    (root / 'old.txt').write_text('old')
    generate(root, force=True, **{**SMALL, 'tiles': (1, 0, 0)})
    assert not (root / 'old.txt').exists()
    assert (root / 'index.json').exists()


def test_a_failure_leaves_nothing_behind(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError('disk on fire')

    module = importlib.import_module(
        'mmskysense.datasets.sample_world.generate')
    monkeypatch.setattr(module, 'write_scene', fail)
    with pytest.raises(RuntimeError, match='disk on fire'):
        generate(tmp_path / 'world', **{**SMALL, 'tiles': (1, 0, 0)})
    assert list(tmp_path.iterdir()) == []
