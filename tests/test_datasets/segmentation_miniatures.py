# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Miniatures of published segmentation datasets, in their own layouts.

Tiny images, but real folder trees, names, formats, data types and odd cases.
Everything is generated; nothing is copied from a dataset.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

from mmskysense.datasets.conversion import fbp, isaid, potsdam
from mmskysense.datasets.conversion.air_polsar_seg import COLOURS as AIR


def blocks(classes, size, seed=0):
    """A label of blocks in which every class occurs, uint8 (H, W)."""
    height, width = size
    side = int(np.ceil(np.sqrt(len(classes))))
    order = np.random.default_rng(seed).permutation(
        np.resize(classes, side * side))
    rows = np.arange(height) * side // height
    columns = np.arange(width) * side // width
    return order.reshape(side, side)[rows][:, columns].astype(np.uint8)


def bands_of(label, count, dtype, low, high, seed=0):
    """An image (C, H, W) whose values depend on the label, with noise."""
    generator = np.random.default_rng(seed)
    levels = generator.uniform(low, high, (count, 256))
    image = levels[:, label] + generator.normal(
        0, 0.03 * (high - low), (count, *label.shape))
    return np.clip(image, low, high).astype(dtype)


def paint(label, colours):
    """A label as published colours, uint8 (H, W, 3)."""
    table = np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    return table[label]


def write_tif(path, image, crs=None, origin=None, pixel=1.0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if origin is not None:
        options['transform'] = from_origin(*origin, pixel, pixel)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(
                path, 'w', driver='GTiff', count=len(image),
                height=image.shape[1], width=image.shape[2],
                dtype=image.dtype, crs=crs, **options) as file:
            file.write(image)


def write_png(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_isaid(root: Path) -> Path:
    """Two labelled splits; a grey image, a small one, instance masks."""
    for split, names in (('train', ('P0000', 'P0001')), ('val', ('P0003', ))):
        for number, name in enumerate(names):
            size = (40, 100) if name == 'P0001' else (80, 72)
            label = blocks(range(16), size, number)
            image = bands_of(label, 3, np.uint8, 0, 255, number)
            picture = image.transpose(1, 2, 0)
            if name == 'P0001':
                picture = picture[..., 0]
            write_png(root / split / 'images/images' / f'{name}.png', picture)
            masks = root / split
            write_png(
                masks / 'Semantic_masks/images/images' /
                f'{name}_instance_color_RGB.png',
                paint(label, isaid.COLOURS))
            write_png(
                masks / 'Instance_masks/images/images' /
                f'{name}_instance_id_RGB.png', paint(label, isaid.COLOURS))
    write_png(root / 'test/images/images/P0006.png',
              np.zeros((8, 8, 3), np.uint8))
    return root


def write_potsdam(root: Path, no_boundary=False) -> Path:
    """Three tiles: one lossy in colour, one with 252 in its cars."""
    kind = '_noBoundary' if no_boundary else ''
    folder = f'5_Labels_all{kind}'
    for number, name in enumerate(('2_10', '4_12', '6_7', '2_13')):
        label = blocks(range(1, 7), (96, 80), number)
        if no_boundary:
            label[:, 38:42] = 0
        image = bands_of(label, 3, np.uint8, 0, 255, number)
        write_tif(root / '2_Ortho_RGB' / f'top_potsdam_{name}_RGB.tif', image,
                  'EPSG:32633', (366676.0, 5808640.0), 0.05)
        colours = paint(label, potsdam.COLOURS).transpose(2, 0, 1).copy()
        if name == '4_12':
            colours = np.where(colours > 127, 225, 20).astype(np.uint8)
        elif name == '6_7':
            colours[0][label == 5] = 252
        write_tif(
            root / folder / f'top_potsdam_{name}_label{kind}.tif', colours)
    return root


def write_fbp(root: Path, bits=16) -> Path:
    """Scenes of both splits; unlabelled pixels; a label that is larger."""
    folder, _ = fbp.VERSIONS[bits]
    scenes = ('GF2_PMS1__L1A0000564539-MSS1', 'GF2_PMS2__L1A0000607677-MSS2')
    assert scenes[1] in fbp.TEST and scenes[0] not in fbp.TEST
    for number, scene in enumerate(scenes):
        label = blocks(range(25), (100, 90), number)
        image = bands_of(
            label, 4, np.uint16 if bits == 16 else np.uint8, 1,
            1023 if bits == 16 else 255, number)
        image[:, :6, :6] = 0  # outside the swath
        write_tif(root / folder / f'{scene}.tiff', image[:, :96, :88])
        write_png(root / fbp.LABELS / f'{scene}_24label.png', label)
    return root


SPARCS_METADATA = '''GROUP = L1_METADATA_FILE
  GROUP = IMAGE_ATTRIBUTES
    SUN_ELEVATION = 45.00000000
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = RADIOMETRIC_RESCALING
{lines}
  END_GROUP = RADIOMETRIC_RESCALING
END_GROUP = L1_METADATA_FILE
END
'''


def write_sparcs(root: Path, scenes=6, usgs=False) -> Path:
    """Ten-band digital numbers, masks, metadata; fill at the rim."""
    lines = '\n'.join(f'    REFLECTANCE_{key}_BAND_{n} = {value}'
                      for key, value in (('MULT', '2.0000E-05'),
                                         ('ADD', '-0.100000'))
                      for n in range(1, 10))
    for number in range(scenes):
        stem = root / 'sending' / f'LC8001081201336{number}LGN00_18'
        label = blocks(range(7), (72, 72), number)
        image = bands_of(label, 10, np.uint16, 6000, 30000, number)
        image[:, :3] = 0
        write_tif(Path(f'{stem}_data.tif'), image, 'EPSG:32638',
                  (300000.0, 4000000.0), 30.0)
        if usgs:
            write_png(Path(f'{stem}_mask.png'), label)
        else:
            write_tif(Path(f'{stem}_labels.tif'), label[None])
        write_png(Path(f'{stem}_photo.png'), np.zeros((72, 72, 3), np.uint8))
        Path(f'{stem}_mtl.txt').write_text(
            SPARCS_METADATA.format(lines=lines))
    return root


def write_air_polsar_seg(root: Path) -> Path:
    """Four files a patch; amplitudes with zeros; black label pixels."""
    for split, count in (('train_set', 2), ('test_set', 1)):
        for number in range(count):
            stem = root / split / str(number + 1)
            label = blocks([*range(6), 255], (64, 64), number)
            for n, band in enumerate(('HH', 'HV', 'VH', 'VV')):
                image = bands_of(label, 1, np.uint16, 1, 3000, n)
                image[:, :2, :2] = 0
                write_tif(Path(f'{stem}_{band}.tiff'), image)
            write_png(Path(f'{stem}_gt.png'), paint(label, AIR))
    return root


def write_dynamicearthnet(root: Path) -> Path:
    """Three areas, three months; - and _ in names; a month without S2.

    Sentinel-2 of one area is on its own 10 m grid, the others on Planet's.
    """
    origin, size = (600000.0, 4400000.0), 64
    lists = {}
    for number, (area, zone, split) in enumerate(
        (('1311_3077_13', '10N', 'train'), ('2065_3647_13', '16N', 'val'),
         ('4421_3800_13', '33N', 'test'))):
        crs = f'EPSG:326{zone[:2]}'
        planet = root / 'planet' / zone / '26E-183N' / area
        for later, month in enumerate(('2018-01', '2018-02', '2018-03')):
            label = blocks(range(6), (size, size), number + 10 * later)
            one_hot = np.zeros((7, size, size), np.uint8)
            for value in range(6):
                one_hot[value] = 255 * (label == value)
            one_hot[:, :4] = 0
            one_hot[6, :2] = 255  # snow and ice; two rows nobody labelled
            separator = '_' if number == 0 else '-'
            name = f'{zone}-122W-40N-L3H-SR'
            stem = f'{name}-{month}-01'.replace(
                month + '-01', (month + '-01').replace('-', separator))
            write_tif(
                root / f'labels/{area}_{zone}/Labels/Raster' / name /
                f'{stem}.tif', one_hot)
            for day in ('01', '05', '07'):
                write_tif(
                    planet / 'PF-SR' / f'{month}-{day}.tif',
                    bands_of(label, 4, np.int16, 300, 4000, number), crs,
                    origin, 3.0)
            write_tif(planet / 'PF-QA' / f'{month}-01.tif',
                      np.zeros((1, size, size), np.int16))
            composite = f'{area}_{month.replace("-", "_")}.tif'
            if number or month != '2018-03':
                coarse = number == 1
                image = bands_of(label, 12, np.uint16, 300, 5000, number)
                write_tif(
                    root / 'sentinel2' / area / composite,
                    image[:, ::2, ::2] if coarse else image, crs, origin,
                    6.0 if coarse else 3.0)
            write_tif(
                root / 'sentinel1' / area / composite,
                bands_of(label, 8, np.float32, -25, -5, number), crs, origin,
                3.0)
            lists.setdefault(split, []).append(
                f'/reprocess-cropped/UTM-24000/{zone}/26E-183N/{area}/PF-SR '
                f'/labels/{area}_{zone}/Labels/Raster/{name}/{stem}.tif '
                f'{month}')
    folder = root / 'dynnet_training_splits'
    folder.mkdir()
    for split, lines in lists.items():
        (folder / f'{split}.txt').write_text('\n'.join(lines) + '\n')
    return root


def write_pastis(root: Path, size=32, radar=True) -> Path:
    """Five patches, one a fold; series of different length; void parcels."""
    features = []
    for folder in ('ANNOTATIONS', 'DATA_S2', 'DATA_S1A', 'DATA_S1D'):
        (root / folder).mkdir(parents=True)
    for number in range(5):
        patch = 10000 + number
        label = blocks(range(20), (size, size), number)
        target = np.stack([label, label // 2, label // 3])
        np.save(root / f'ANNOTATIONS/TARGET_{patch}.npy', target)
        properties = dict(ID_PATCH=patch, Fold=number + 1, TILE='t30uxv')
        for name, count in (('S2', 3 + number % 2), ('S1A', 2), ('S1D', 3)):
            days = {
                str(t): int(f'2018{9 + t:02d}{10 + len(name)}')
                for t in range(count)
            }
            # PASTIS-R keeps them as text in places.
            properties[f'dates-{name}'] = json.dumps(days) \
                if name == 'S1A' else days
            shape = (10, np.int16, 200, 5000) if name == 'S2' else \
                (3, np.float16, -25, 0)
            series = np.stack([
                bands_of(label, *shape[:2], *shape[2:], seed=number)
                for _ in range(count)
            ])
            if name == 'S2':
                series[0, 3, :2] = -10000  # fill
            np.save(root / f'DATA_{name}/{name}_{patch}.npy', series)
        if not radar:
            properties = {
                key: value
                for key, value in properties.items() if 'S1' not in key
            }
        write_tif(
            root / 'DATA_SPOT/PASTIS_SPOT6_RVB_1M00_2019' /
            f'SPOT6_RVB_1M00_2019_{patch}.tif',
            bands_of(
                label.repeat(10, 0).repeat(10, 1), 3, np.uint8, 0, 255,
                number), 'EPSG:2154', (398000.0, 6900000.0), 1.0)
        corner = np.array([399000.0 + 1280 * number, 6900000.0])
        ring = [(corner + offset).tolist() for offset in
                ((0, 0), (1280, 0), (1280, 1280), (0, 1280), (0, 0))]
        features.append(
            dict(
                type='Feature',
                properties=properties,
                geometry=dict(type='MultiPolygon', coordinates=[[ring]])))
    (root / 'metadata.geojson').write_text(
        json.dumps(dict(type='FeatureCollection', features=features)))
    return root
