# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import datetime
import shutil

import numpy as np
import pytest
import rasterio
from input_miniatures import BANDS, band_value, write_band

from mmskysense.raster import RasterContractError
from mmskysense.raster.inputs import InputImage, open_input


def read(source):
    with rasterio.open(source.path) as file:
        return file.read(source.index)


def test_geotiff_with_described_bands(write_raster):
    values = np.arange(12 * 16, dtype=np.uint16).reshape(12, 4, 4)
    path = write_raster('scene_20210401.tif', values,
                        ('B12', 'B01', *BANDS[:9], 'B09'))
    (image, ) = open_input(path, 's2_l2a')
    assert image.date == datetime.date(2021, 4, 1)
    assert [band.name for band in image.bands] == list(BANDS)
    assert [band.index for band in image.bands] == [*range(3, 12), 1]
    assert image.scale is image.offset is image.nodata is image.mask is None


def test_all_bands_as_they_are(write_raster):
    path = write_raster('a.tif', np.ones((5, 4, 4), np.uint8))
    (image, ) = open_input(path)
    assert image.sensor is None and image.date is None
    assert [band.index for band in image.bands] == [1, 2, 3, 4, 5]


def test_day_by_metadata_beats_the_name(write_raster):
    path = write_raster('a_20200101.tif', np.ones((2, 4, 4), np.float32))
    with rasterio.open(path, 'r+') as file:
        file.update_tags(ACQUISITION_DATE='2021-06-05T10:00:00Z')
    assert open_input(path, 's1_grd')[0].date == datetime.date(2021, 6, 5)


def test_vrt_of_two_files(tmp_path, write_raster):
    for name, value in (('vv', -12), ('vh', -20)):
        write_raster(f'{name}.tif', np.full((1, 4, 4), value, np.float32))
    bands = ''.join(
        f'<VRTRasterBand dataType="Float32" band="{n}"><Description>{name}'
        f'</Description><SimpleSource><SourceFilename relativeToVRT="1">'
        f'{name}.tif</SourceFilename><SourceBand>1</SourceBand>'
        '</SimpleSource></VRTRasterBand>'
        for n, name in ((1, 'vh'), (2, 'vv')))
    path = tmp_path / 'scene.vrt'
    path.write_text(
        f'<VRTDataset rasterXSize="4" rasterYSize="4">{bands}</VRTDataset>')
    (image, ) = open_input(path, 's1_grd')
    assert [read(band)[0, 0] for band in image.bands] == [-12, -20]


def test_overrides_replace_what_a_format_states(product):
    (stated, ) = open_input(product, 's2_l2a')
    (image, ) = open_input(product, 's2_l2a', scale=2.0, nodata=7)
    assert stated.offset == -1000
    assert (image.scale, image.offset, image.nodata) == (2.0, None, 7)


def test_folder_of_single_bands(band_files):
    folder = band_files('scene')
    shutil.copy(folder / 'S2_20210401_B02.tif', folder / 'S2_20210401_QA.tif')
    (image, ) = open_input(folder, 's2_l2a')
    assert image.date == datetime.date(2021, 4, 1)
    assert [read(band)[0, 0] for band in image.bands] == [
        band_value(name) for name in BANDS]


def test_other_spellings_of_single_bands(band_files, tmp_path):
    names = dict(B02='B2', B03='green', B04='red', B05='B5', B06='B6',
                 B07='B7', B08='nir', B8A='B8A', B11='swir16', B12='swir22')
    for band, name in names.items():
        write_band(tmp_path / 'x' / f'{name}.tif', band_value(band), 4, 10)
    (image, ) = open_input(tmp_path / 'x', 's2_l2a')
    assert [read(band)[0, 0] for band in image.bands] == [
        band_value(name) for name in BANDS]


def test_folder_of_several_days(band_files):
    band_files('series', '20210601')
    folder = band_files('series', '20210401')
    images = open_input(folder, 's2_l2a')
    assert [str(image.date) for image in images] == [
        '2021-04-01', '2021-06-01']
    (image, ) = open_input(folder, 's2_l2a', dates='2021-05-01/..')
    assert all('20210601' in band.path for band in image.bands)


def test_folder_of_files_with_all_bands(write_raster, tmp_path):
    for day in ('20210601', '20210401'):
        write_raster(f'series/{day}.tif', np.ones((2, 4, 4), np.float32))
    images = open_input(tmp_path / 'series', 's1_grd')
    assert [str(image.date) for image in images] == [
        '2021-04-01', '2021-06-01']
    assert all(len(image.bands) == 2 for image in images)


def test_finest_of_several_resolutions(band_files, tmp_path):
    folder = band_files('scene', name='T32TQM_{day}_{band}.tif')
    write_band(folder / 'T32TQM_20210401_B02_60m.tif', 1, 10, 60)
    (image, ) = open_input(folder, 's2_l2a')
    assert image.bands[0].path.endswith('_B02.tif')


def test_missing_band(band_files):
    folder = band_files('scene', bands=BANDS[:-1])
    with pytest.raises(
            RasterContractError,
            match=r"scene \(2021-04-01\): sensor 's2_l2a' expects bands B02, "
            r".* but no file is named for 'B12' \(found S2_20210401_B02.tif"):
        open_input(folder, 's2_l2a')


def test_band_that_is_there_twice(band_files):
    folder = band_files('scene')
    shutil.copy(folder / 'S2_20210401_B02.tif', folder / 'b_20210401_B02.tif')
    with pytest.raises(RasterContractError,
                       match="one file for band 'B02', found S2_20210401_B02"
                       '.tif, b_20210401_B02.tif'):
        open_input(folder, 's2_l2a')


def test_file_named_for_a_band_with_several(band_files, write_raster):
    folder = band_files('scene', bands=BANDS[1:])
    write_raster('scene/S2_20210401_B02.tif', np.ones((3, 4, 4), np.uint16))
    with pytest.raises(RasterContractError,
                       match='B02.tif: its name is that of one band, expected '
                       'one band in it, found 3'):
        open_input(folder, 's2_l2a')


def test_folder_without_rasters(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(RasterContractError,
                       match='expected raster files .* found notes.txt'):
        open_input(tmp_path, 's2_l2a')


def test_unknown_sensor(write_raster):
    path = write_raster('a.tif', np.ones((1, 4, 4), np.uint8))
    with pytest.raises(KeyError, match="unknown sensor 's2'; known: hr_rgb"):
        open_input(path, 's2')


def test_missing_file():
    with pytest.raises(RasterContractError, match='found no such file'):
        open_input('nowhere.tif', 'hr_rgb')


def test_clouds_cannot_be_masked_without_a_classification(write_raster):
    path = write_raster('a.tif', np.ones((3, 4, 4), np.uint8))
    with pytest.raises(RasterContractError, match='masking clouds needs'):
        open_input(path, 'hr_rgb', mask_clouds=True)


def test_dates_need_days(write_raster, band_files):
    path = write_raster('a.tif', np.ones((3, 4, 4), np.uint8))
    with pytest.raises(RasterContractError, match='a.tif: dates=.* needs the '
                       'day of acquisition, found none'):
        open_input(path, 'hr_rgb', dates='2021-04-01/2021-05-01')
    with pytest.raises(RasterContractError, match='expected an acquisition in '
                       'dates=2022-01-01/.., found 2021-04-01; widen'):
        open_input(band_files('x'), 's2_l2a', dates='2022-01-01/..')


def test_image_without_bands_is_refused():
    with pytest.raises(ValueError, match='scene: expected at least one band'):
        InputImage('hr_rgb', None, (), name='scene')
