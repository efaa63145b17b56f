# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""What the segmentation converters write, and what they refuse."""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import segmentation_miniatures as miniatures

from mmskysense.datasets.conversion import (
    DataError,
    dynamicearthnet,
    read_image,
)
from mmskysense.datasets.conversion.air_polsar_seg import (
    convert_air_polsar_seg,
)
from mmskysense.datasets.conversion.dynamicearthnet import (
    convert_dynamicearthnet,
)
from mmskysense.datasets.conversion.fbp import TEST, convert_fbp
from mmskysense.datasets.conversion.isaid import convert_isaid
from mmskysense.datasets.conversion.pastis import convert_pastis
from mmskysense.datasets.conversion.potsdam import (
    TRAIN,
    VAL,
    convert_potsdam,
    read_label,
)
from mmskysense.datasets.conversion.scene_tiles import statistics_options
from mmskysense.datasets.conversion.sparcs import convert_sparcs

TILES = dict(size=64, overlap=16, partial=True)
PART = dict(partial=True)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-len(path.read_bytes()) // 2])


def assembled(out, split, stem, suffix, shape):
    """Tiles put together again, by the place in their names."""
    whole = np.full(shape, 99, np.uint8)
    for path in (out / 'ann_dir' / split).glob(f'{stem}_*{suffix}'):
        top, bottom, left, right = map(
            int, path.name[len(stem) + 1:-len(suffix)].split('_'))
        whole[top:bottom, left:right] = read_image(path)[0]
    return whole


class TestISAID:

    @pytest.fixture
    def root(self, tmp_path):
        return miniatures.write_isaid(tmp_path / 'in')

    def test_labels_and_images_come_back(self, root, tmp_path):
        out = tmp_path / 'out'
        convert_isaid(str(root), str(out), workers=2, **TILES)
        truth = miniatures.blocks(range(16), (80, 72), 0)
        assert (assembled(out, 'train', 'P0000', '_instance_color_RGB.png',
                          truth.shape) == truth).all()
        tile = np.asarray(Image.open(out / 'img_dir/train/P0000_0_64_0_64.png'
                                     ))
        whole = np.asarray(
            Image.open(root / 'train/images/images/P0000.png'))
        assert (tile == whole[:64, :64]).all()
        grey = np.asarray(
            Image.open(out / 'img_dir/train/P0001_0_40_0_64.png'))
        assert grey.shape == (40, 64, 3)
        summary = json.loads((out / 'conversion.json').read_text())
        assert summary['splits']['train']['items'] == 2
        assert summary['splits']['val']['images'] == 4

    def test_published_counts(self, root, tmp_path):
        with pytest.raises(DataError, match='2 of 1411 in train, 1 of 458 in'
                           ' val.*--partial'):
            convert_isaid(str(root), str(tmp_path / 'out'))

    def test_missing_split(self, root, tmp_path):
        shutil.rmtree(root / 'val')
        with pytest.raises(DataError, match='in/val: expected the folder of '
                           'the val split'):
            convert_isaid(str(root), str(tmp_path / 'out'), **TILES)

    def test_unpaired_label(self, root, tmp_path):
        (root / 'train/images/images/P0001.png').unlink()
        with pytest.raises(DataError, match='P0001_instance_color_RGB.png: '
                           'expected its image'):
            convert_isaid(str(root), str(tmp_path / 'out'), **TILES)

    def test_duplicate(self, root, tmp_path):
        shutil.copy(root / 'train/images/images/P0001.png',
                    root / 'train/P0001.png')
        with pytest.raises(DataError, match="'P0001' is there twice"):
            convert_isaid(str(root), str(tmp_path / 'out'), **TILES)

    @pytest.mark.parametrize('damage', ['colour', 'truncated', 'size'])
    def test_bad_files_are_named_or_listed(self, root, tmp_path, damage):
        path = root / ('train/Semantic_masks/images/images/'
                       'P0000_instance_color_RGB.png')
        if damage == 'truncated':
            truncate(path)
        else:
            label = np.array(Image.open(path))
            label[5, 5] = 1, 2, 3
            Image.fromarray(label if damage == 'colour' else label[1:] // 99
                            ).save(path)
        with pytest.raises(DataError, match=r"P0000_instance.*'train/P0000'"):
            convert_isaid(str(root), str(tmp_path / 'out'), **TILES)
        report = convert_isaid(str(root), str(tmp_path / 'out'),
                               skip_bad=True, **TILES)
        assert list(report.bad) == ['train/P0000']
        assert len(report.results) == 2
        assert 'P0000_instance_color_RGB.png' in (
            tmp_path / 'out/bad_items.txt').read_text()


class TestPotsdam:

    def test_the_38_tiles(self):
        assert len({*TRAIN, *VAL}) == 38

    @pytest.mark.parametrize('name', ['2_10', '4_12', '6_7'])
    def test_colours_that_were_not_kept(self, tmp_path, name):
        root = miniatures.write_potsdam(tmp_path)
        number = ('2_10', '4_12', '6_7').index(name)
        label = read_label(
            root / f'5_Labels_all/top_potsdam_{name}_label.tif', name)
        assert (label == miniatures.blocks(range(1, 7), (96, 80), number)
                ).all()

    def test_lossy_colours_of_another_tile_are_refused(self, tmp_path):
        root = miniatures.write_potsdam(tmp_path)
        with pytest.raises(DataError, match='which no class has, in row 0'):
            read_label(root / '5_Labels_all/top_potsdam_4_12_label.tif',
                       '2_10')

    def test_eroded_boundaries(self, tmp_path):
        root = miniatures.write_potsdam(tmp_path / 'in', no_boundary=True)
        with pytest.raises(DataError, match='expected its label'):
            convert_potsdam(str(root), str(tmp_path / 'no'), **TILES)
        convert_potsdam(str(root), str(tmp_path / 'out'), no_boundary=True,
                        **TILES)
        label = assembled(tmp_path / 'out', 'val', '2_13', '.png', (96, 80))
        assert (label[:, 38:42] == 0).all() and set(
            np.unique(label)) == set(range(7))

    def test_other_files(self, tmp_path):
        root = miniatures.write_potsdam(tmp_path / 'in')
        path = root / '2_Ortho_RGB/top_potsdam_2_13_RGB.tif'
        path.unlink()
        miniatures.write_tif(path, np.zeros((4, 96, 80), np.uint8))
        with pytest.raises(DataError, match='expected 3 bands of 8 bits, '
                           'found 4 of uint8.*2_Ortho_RGB'):
            convert_potsdam(str(root), str(tmp_path / 'out'), **TILES)
        path.rename(path.with_name('top_potsdam_9_9_RGB.tif'))
        with pytest.raises(DataError, match='none of the 38 tiles'):
            convert_potsdam(str(root), str(tmp_path / 'out'), **TILES)


class TestFBP:

    def test_published_split(self):
        assert len(TEST) == 30

    @pytest.mark.parametrize('bits', [16, 8])
    def test_bands_and_classes(self, tmp_path, bits):
        root = miniatures.write_fbp(tmp_path / 'in', bits)
        _, summary = convert_fbp(str(root), str(tmp_path / 'out'), bits=bits,
                                 **TILES)
        stem = 'GF2_PMS1__L1A0000564539-MSS1'
        with rasterio.open(
                tmp_path / f'out/img_dir/train/{stem}_0_64_0_64.tif') as file:
            assert file.dtypes[0] == f'uint{bits}' and file.nodata == 0
            assert file.descriptions == (
                ('blue', 'green', 'red', 'nir') if bits == 16 else
                ('nir', 'red', 'green', 'blue'))
        label = assembled(tmp_path / 'out', 'train', stem, '.png', (96, 88))
        truth = miniatures.blocks(range(25), (100, 90), 0)[:96, :88]
        assert (label[truth > 0] == truth[truth > 0] - 1).all()
        assert (label[truth == 0] == 255).all()
        folder = 'Image__16bit_BGRNir' if bits == 16 else 'Image__8bit_NirRGB'
        image = read_image(root / folder / f'{stem}.tiff').astype(float)
        measured = image[:, (image != 0).any(0)]
        np.testing.assert_allclose(summary['mean'], measured.mean(1),
                                   rtol=1e-4)
        np.testing.assert_allclose(summary['std'], measured.std(1), rtol=1e-4)
        # The options are in the sensor's order, whatever the files'.
        order = [0, 1, 2, 3] if bits == 16 else [3, 2, 1, 0]
        options = statistics_options(summary, 'gf2')
        found = [float(v) for v in options.split('"')[1][1:-1].split(',')]
        np.testing.assert_allclose(found, measured.mean(1)[order], rtol=1e-3)

    def test_values_outside_the_classes(self, tmp_path):
        root = miniatures.write_fbp(tmp_path / 'in')
        path = root / ('Annotation__index/'
                       'GF2_PMS1__L1A0000564539-MSS1_24label.png')
        label = np.array(Image.open(path))
        label[3, 4] = 25
        Image.fromarray(label).save(path)
        with pytest.raises(DataError, match='24label.png: expected class ids '
                           '0 to 24, found 25 in 1 pixels'):
            convert_fbp(str(root), str(tmp_path / 'out'), **TILES)
        Image.fromarray(label[:90]).save(path)
        with pytest.raises(DataError, match='MSS1'):
            convert_fbp(str(root), str(tmp_path / 'out'), **TILES)


class TestSPARCS:

    @pytest.mark.parametrize('usgs', [False, True])
    def test_reflectance(self, tmp_path, usgs):
        root = miniatures.write_sparcs(tmp_path / 'in', usgs=usgs)
        convert_sparcs(str(root), str(tmp_path / 'out'), **TILES)
        stem = 'LC80010812013360LGN00_18'
        numbers = read_image(root / f'sending/{stem}_data.tif')
        with rasterio.open(
                tmp_path / f'out/img_dir/train/{stem}_8_72_0_64.tif') as file:
            assert file.descriptions == ('B1', 'B2', 'B3', 'B4', 'B5', 'B6',
                                         'B7', 'B9')
            assert file.transform.f == 4000000.0 - 8 * 30
            tile = file.read()
        for band, number in ((0, 1), (7, 9)):
            expected = 1e4 * (2e-5 * numbers[number - 1, 8:72, :64] -
                              0.1) / math.sin(math.pi / 4)
            np.testing.assert_allclose(tile[band], expected, atol=0.51)
        with rasterio.open(
                tmp_path / f'out/img_dir/train/{stem}_0_64_0_64.tif') as file:
            assert (file.read()[:, :3] == 0).all()  # fill stays fill
        assert len(list((tmp_path / 'out/img_dir/test').iterdir())) == 4

    @pytest.mark.parametrize('text, message', [
        ('SUN_ELEVATION = high\n', r"_mtl.txt, line 1: expected a number of "
         "'SUN_ELEVATION', found 'high'"),
        ('SUN_ELEVATION = 45.0\n', "expected 'REFLECTANCE_ADD_BAND_1'"),
        ('', 'empty file')])
    def test_metadata(self, tmp_path, text, message):
        root = miniatures.write_sparcs(tmp_path / 'in', 1)
        path, = root.rglob('*_mtl.txt')
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            convert_sparcs(str(root), str(tmp_path / 'out'), **TILES)
        path.unlink()
        with pytest.raises(DataError, match='data.tif: expected its metadata'):
            convert_sparcs(str(root), str(tmp_path / 'out'), **TILES)


class TestAIRPolSARSeg:

    @pytest.fixture
    def root(self, tmp_path):
        return miniatures.write_air_polsar_seg(tmp_path / 'in')

    def test_decibel(self, root, tmp_path):
        _, summary = convert_air_polsar_seg(
            str(root), str(tmp_path / 'out'), **PART)
        values = read_image(tmp_path / 'out/img_dir/train/1.tif')
        raw = read_image(root / 'train_set/1_VH.tiff')[0].astype(float)
        assert np.isnan(values[2][raw == 0]).all()
        np.testing.assert_allclose(values[2][raw > 0],
                                   20 * np.log10(raw[raw > 0]), rtol=1e-5)
        label = read_image(tmp_path / 'out/ann_dir/train/1.png')[0]
        assert (label == miniatures.blocks([*range(6), 255], (64, 64), 0)
                ).all()
        assert 20 < summary['mean'][0] < 80

    def test_refusals(self, root, tmp_path):
        with pytest.raises(DataError, match='expected 500 patches of both '
                           'splits, found 3'):
            convert_air_polsar_seg(str(root), str(tmp_path / 'out'))
        path = root / 'train_set/1_VV.tiff'
        path.unlink()
        with pytest.raises(DataError, match='1_HH.tiff: expected its VV in'):
            convert_air_polsar_seg(str(root), str(tmp_path / 'out'), **PART)
        miniatures.write_tif(path, np.ones((1, 64, 64), np.complex64))
        with pytest.raises(DataError, match='amplitudes, found 1 of complex'):
            convert_air_polsar_seg(str(root), str(tmp_path / 'out'), **PART)
        shutil.rmtree(root / 'test_set')
        with pytest.raises(DataError, match='the test split'):
            convert_air_polsar_seg(str(root), str(tmp_path / 'out'), **PART)


class TestDynamicEarthNet:

    @pytest.fixture
    def root(self, tmp_path):
        return miniatures.write_dynamicearthnet(tmp_path / 'in')

    def tiles(self, out):
        index = json.loads((out / 'index.json').read_text())
        return {tile['id']: tile for tile in index['tiles']}

    def test_index_and_labels(self, root, tmp_path):
        out = tmp_path / 'out'
        report = convert_dynamicearthnet(str(root), str(out), **PART)
        tiles = self.tiles(out)
        assert len(tiles) == 9
        first = tiles['1311_3077_13/2018-01']
        assert first['split'] == 'train'
        assert first['planetscope_dates'] == ['2018-01-01', '2018-01-05']
        for sensor in ('planetscope', 's2_l2a', 's1_grd'):
            assert all((out / name).is_file() for name in first[sensor])
        assert 's2_l2a' not in tiles['1311_3077_13/2018-03']
        with rasterio.open(out / first['land_cover']) as file:
            assert file.crs.to_epsg() == 32610 and file.res == (3.0, 3.0)
            label = file.read(1)
        # Two rows of snow, two that no band names.
        assert (label[:4] == 255).all()
        truth = miniatures.blocks(range(6), (64, 64), 0)
        assert (label[4:] == truth[4:]).all()
        record = report.results['1311_3077_13/2018-01'].record
        assert record['unlabelled'] == 2 * 64

    def test_a_coarser_composite_is_warped(self, root, tmp_path):
        convert_dynamicearthnet(str(root), str(tmp_path / 'out'), 'first',
                                **PART)
        tiles = self.tiles(tmp_path / 'out')
        name, = tiles['2065_3647_13/2018-01']['s2_l2a']
        assert name == 's2_l2a/2065_3647_13/2018-01.tif'
        with rasterio.open(tmp_path / 'out' / name) as file:
            assert (file.count, file.shape, file.res) == (12, (64, 64),
                                                          (3.0, 3.0))
            assert file.read(1).min() > 0
        assert tiles['4421_3800_13/2018-01']['s2_l2a'][0].startswith('..')

    def test_daily(self, root, tmp_path):
        convert_dynamicearthnet(str(root), str(tmp_path / 'out'), 'daily',
                                **PART)
        tile = self.tiles(tmp_path / 'out')['1311_3077_13/2018-01']
        assert tile['planetscope_dates'][-1] == '2018-01-07'
        with pytest.raises(DataError, match="was converted with {'days': 'da"):
            convert_dynamicearthnet(str(root), str(tmp_path / 'out'), **PART)

    def test_refusals(self, root, tmp_path):
        out = str(tmp_path / 'out')
        lists = root / 'dynnet_training_splits'
        with pytest.raises(DataError, match='found 3 of 24 in train'):
            convert_dynamicearthnet(str(root), out)
        train = (lists / 'train.txt').read_text()
        (lists / 'train.txt').write_text(train + 'only two\n')
        with pytest.raises(DataError, match=r"train.txt, line 4: expected "
                           "'PLANET_FOLDER"):
            convert_dynamicearthnet(str(root), out, **PART)
        (lists / 'train.txt').write_text(train.replace('-02', '-04'))
        with pytest.raises(DataError, match=r'train.txt, line 2: names the '
                           "label of area '1311_3077_13' in 2018-04"):
            convert_dynamicearthnet(str(root), out)
        report = convert_dynamicearthnet(str(root), out, **PART)
        assert len(report.results) == 8
        twice = root / 'more/26E-183N/1311_3077_13/PF-SR'
        twice.mkdir(parents=True)
        with pytest.raises(DataError, match="'1311_3077_13' is there twice"):
            convert_dynamicearthnet(str(root), out, **PART)
        twice.rmdir()
        (lists / 'train.txt').write_text(train)
        (lists / 'val.txt').unlink()
        with pytest.raises(DataError, match='val.txt: expected the published'):
            convert_dynamicearthnet(str(root), out, **PART)

    def test_areas_and_doubled_labels(self, root, tmp_path, monkeypatch):
        out = str(tmp_path / 'out')
        monkeypatch.setattr(dynamicearthnet, 'MONTHS', 3)
        with pytest.raises(DataError, match='expected 53 to 55 areas in the '
                           'lists, found 3'):
            convert_dynamicearthnet(str(root), out)
        monkeypatch.setattr(dynamicearthnet, 'AREAS', 2)
        with pytest.raises(DataError, match='expected 0 to 2 areas'):
            convert_dynamicearthnet(str(root), out)
        monkeypatch.setattr(dynamicearthnet, 'AREAS', 5)
        assert len(convert_dynamicearthnet(str(root), out).results) == 9
        # One area is gone: months are left out of a part, and only there.
        shutil.rmtree(root / 'planet/33N')
        with pytest.raises(DataError, match="area '4421_3800_13' in 2018-01"):
            convert_dynamicearthnet(str(root), out)
        assert len(convert_dynamicearthnet(str(root), out, **PART).results
                   ) == 6
        # The same list twice is one, another one is not.
        lists, more = root / 'dynnet_training_splits', root / 'more'
        more.mkdir()
        shutil.copy(lists / 'val.txt', more)
        assert convert_dynamicearthnet(str(root), out, **PART)
        (more / 'val.txt').write_text('another\n')
        with pytest.raises(DataError, match='more/val.txt: expected one'):
            convert_dynamicearthnet(str(root), out, **PART)
        shutil.rmtree(more)
        # Two labels of a month are no gap of a part.
        label, = root.rglob('*L3H-SR-2018_01_01.tif')
        shutil.copy(label, label.with_name('copy-' + label.name))
        with pytest.raises(DataError, match='found 2 such files'):
            convert_dynamicearthnet(str(root), out, **PART)

    @pytest.mark.parametrize('pattern', [
        'planet/10N/**/2018-01-05.tif', 'sentinel2/4421*/*2018_02.tif',
        'sentinel1/1311*/*2018_01.tif'])
    def test_damaged_imagery_is_named_though_it_is_not_copied(
            self, root, tmp_path, pattern):
        path, = root.glob(pattern)
        truncate(path)
        with pytest.raises(ValueError, match=path.name):
            convert_dynamicearthnet(str(root), str(tmp_path / 'o'), **PART)
        with rasterio.open(path, 'w', driver='GTiff', height=64, width=64,
                           count=3, dtype='uint8') as file:
            file.write(np.zeros((3, 64, 64), np.uint8))
        with pytest.raises(DataError, match=r'expected \d+ bands, found 3'):
            convert_dynamicearthnet(str(root), str(tmp_path / 'o'), **PART)

    def test_a_damaged_label(self, root, tmp_path):
        path, = root.rglob('*L3H-SR-2018_01_01.tif')
        with rasterio.open(path, 'r+') as file:
            bands = file.read()
            bands[0, 9, 9] = 7
            file.write(bands)
        with pytest.raises(DataError, match='expected values 0 and 255, found'
                           ' 0, 7, 255'):
            convert_dynamicearthnet(str(root), str(tmp_path / 'o'), **PART)
        report = convert_dynamicearthnet(
            str(root), str(tmp_path / 'o'), skip_bad=True, **PART)
        assert list(report.bad) == ['1311_3077_13/2018-01']
        assert len(self.tiles(tmp_path / 'o')) == 8


class TestPASTIS:

    @pytest.fixture
    def root(self, tmp_path):
        return miniatures.write_pastis(tmp_path / 'in', size=16)

    def convert(self, root, out, sensors=('s2_l2a', ), **options):
        return convert_pastis(str(root), str(out), sensors, partial=True,
                              **options)

    def test_series_and_labels(self, root, tmp_path):
        out = tmp_path / 'out'
        self.convert(root, out, ('s2_l2a', 's1_grd', 'hr_rgb'), workers=2)
        tiles = json.loads((out / 'index.json').read_text())['tiles']
        assert [tile['fold'] for tile in tiles] == [1, 2, 3, 4, 5]
        tile = tiles[1]
        assert tile['split'] == 'train' and len(tile['s2_l2a']) == 4
        assert len(tile['s1_grd']) == 2 + 3
        longitude, latitude = tile['location']
        assert -2 < longitude < 0 and 48 < latitude < 50
        raw = np.load(root / 'DATA_S2/S2_10001.npy')
        first = read_image(out / tile['s2_l2a'][0])
        assert (first[:, :2] == 0).all()  # fill in one band hides the pixel
        assert (first[:, 2:] == raw[0][:, 2:]).all()
        assert (read_image(out / tile['s2_l2a'][3]) == raw[3]).all()
        radar = np.load(root / 'DATA_S1A/S1A_10001.npy')
        np.testing.assert_array_equal(
            read_image(out / tile['s1_grd'][0]), radar[0, :2])
        label = read_image(out / tile['crop_type'])[0]
        truth = np.load(root / 'ANNOTATIONS/TARGET_10001.npy')[0]
        assert (label[truth == 19] == 255).all()
        assert (label[truth < 19] == truth[truth < 19]).all()

    def test_without_radar(self, tmp_path):
        root = miniatures.write_pastis(tmp_path / 'in', 16, radar=False)
        self.convert(root, tmp_path / 'out')
        with pytest.raises(DataError, match='has no dates-S1A.*; take the'):
            self.convert(root, tmp_path / 'other', ('s2_l2a', 's1_grd'))

    @pytest.mark.parametrize('damage, message', [
        ('dates', r'S2_10000.npy: expected 3 dates of \(16, 16\)'),
        ('label', 'TARGET_10000.npy: expected class ids 0 to 19, found 20'),
        ('truncated', 'S2_10000.npy: expected a NumPy array'),
        ('bands', r'expected an array \(T, 10, H, W\)'),
        ('missing', 'S2_10000.npy: expected this file, found none')])
    def test_bad_patches(self, root, tmp_path, damage, message):
        path = root / 'DATA_S2/S2_10000.npy'
        if damage == 'dates':
            np.save(path, np.load(path)[1:])
        elif damage == 'bands':
            np.save(path, np.load(path)[:, 1:])
        elif damage == 'truncated':
            truncate(path)
        elif damage == 'missing':
            path.unlink()
        else:
            path = root / 'ANNOTATIONS/TARGET_10000.npy'
            target = np.load(path)
            target[0, 0, 0] = 20
            np.save(path, target)
        with pytest.raises(DataError, match=message):
            self.convert(root, tmp_path / 'out')
        report = self.convert(root, tmp_path / 'out', skip_bad=True)
        assert list(report.bad) == ['10000'] and len(report.results) == 4

    def test_metadata(self, root, tmp_path):
        with pytest.raises(DataError, match='expected 2433 patches, found 5'):
            convert_pastis(str(root), str(tmp_path / 'out'))
        path = root / 'metadata.geojson'
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content, indent=1)[:-30])
        with pytest.raises(DataError, match=r'metadata.geojson, line \d+: '
                           'expected JSON'):
            self.convert(root, tmp_path / 'out')
        content['features'][0]['properties']['Fold'] = 6
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match='patch 10000 is in fold 6'):
            self.convert(root, tmp_path / 'out')
        content['features'][0]['properties'].update({
            'Fold': 1,
            'dates-S2': {'0': 2018}
        })
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match='patch 10000: expected dates'):
            self.convert(root, tmp_path / 'out')
        for changes, words in (
                ({'dates-S2': [20180917]}, 'patch 10000: expected dates'),
                ({'dates-S2': {'0': 20180917, '1': 20180917,
                               '2': 20180917}},
                 'S2_10000.npy: two S2 images have the date 2018-09-17'),
                ({'Fold': True}, 'in fold True'),
                ({'Fold': [1]}, r'in fold \[1\]')):
            before = dict(content['features'][0]['properties'])
            content['features'][0]['properties'].update(changes)
            path.write_text(json.dumps(content))
            with pytest.raises(DataError, match=words):
                self.convert(root, tmp_path / 'out')
            content['features'][0]['properties'] = before | {'dates-S2': {
                '0': 20180917, '1': 20180927, '2': 20181007}}
        for features in (3, [None, *content['features'][1:]]):
            path.write_text(json.dumps(dict(content, features=features)))
            with pytest.raises(DataError, match='metadata.geojson: '):
                self.convert(root, tmp_path / 'out')
        content['features'][0] = content['features'][1]
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match='geojson: feature 1: patch '
                           '10001 is there twice'):
            self.convert(root, tmp_path / 'out')


@pytest.mark.parametrize('convert, write', [
    (convert_fbp, miniatures.write_fbp),
    (convert_sparcs, miniatures.write_sparcs),
], ids=['fbp', 'sparcs'])
def test_a_metric_counts_every_test_pixel_once(convert, write, tmp_path):
    _, summary = convert(str(write(tmp_path / 'in')), str(tmp_path / 'out'),
                         **TILES)

    def labelled(split):
        return sum(int((read_image(path) != 255).sum()) for path in
                   (tmp_path / 'out/ann_dir' / split).iterdir())

    for split in ('train', 'test'):
        whole = sum(number for name, number in
                    summary['splits'][split]['pixels'].items()
                    if name != 'ignored')
        if split == 'test':
            assert labelled(split) == whole > 0
        else:  # trained on as often as tiles show it
            assert labelled(split) > whole > 0
