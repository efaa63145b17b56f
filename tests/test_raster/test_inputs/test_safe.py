# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import datetime
import shutil

import numpy as np
import pytest
import rasterio
from input_miniatures import BANDS, band_value, make_product, product_metadata

from mmskysense.raster import RasterContractError
from mmskysense.raster.inputs import open_input


def check_bands(image, offset):
    assert [band.name for band in image.bands] == list(BANDS)
    for band in image.bands:
        with rasterio.open(band.path) as file:
            values = file.read(band.index).astype(int)
            # 10 m where there is, 20 m otherwise.
            assert file.res[0] == (10 if band.name in ('B02', 'B03', 'B04',
                                                       'B08') else 20)
        np.testing.assert_array_equal(values + offset, band_value(band.name))


def test_product_with_offset(product):
    (image, ) = open_input(product, 's2_l2a')
    assert image.date == datetime.date(2022, 3, 1)
    assert (image.scale, image.offset, image.nodata) == (None, -1000, 0)
    assert image.mask is None
    check_bands(image, image.offset)


def test_clouds(product):
    (image, ) = open_input(product, 's2_l2a', mask_clouds=True)
    with rasterio.open(image.mask.source.path) as file:
        classes = file.read(image.mask.source.index)
    hidden = np.isin(classes, image.mask.hidden)
    assert hidden[:5, :5].all() and hidden.sum() == 25


def test_product_before_the_offset(tmp_path):
    product = make_product(tmp_path)
    (image, ) = open_input(product, 's2_l2a')
    assert image.offset is None and image.scale is None
    check_bands(image, 0)


def test_zip_as_it_was_downloaded(product, tmp_path):
    archive = shutil.make_archive(
        str(tmp_path / 'download'), 'zip', product.parent, product.name)
    (image, ) = open_input(archive, 's2_l2a', mask_clouds=True)
    assert image.bands[0].path.startswith('/vsizip/')
    check_bands(image, -1000)
    with rasterio.open(image.mask.source.path) as file:
        assert file.shape == (30, 30)


def test_metadata_file_stands_for_the_product(product):
    (image, ) = open_input(product / 'MTD_MSIL2A.xml', 's2_l2a')
    assert len(image.bands) == 10


def test_folder_of_products(product, tmp_path):
    for day in ('20220601', '20220301'):
        copy = tmp_path / product.name.replace('20220301', day)
        shutil.copytree(product, copy)
        text = (copy / 'MTD_MSIL2A.xml').read_text()
        (copy / 'MTD_MSIL2A.xml').write_text(
            text.replace('2022-03-01T', f'{day[:4]}-{day[4:6]}-01T'))
    images = open_input(tmp_path, 's2_l2a')
    assert [str(image.date) for image in images] == [
        '2022-03-01', '2022-06-01']


def test_missing_image(own_product):
    next(own_product.rglob('*_B11_20m.jp2')).unlink()
    with pytest.raises(RasterContractError,
                       match='lists GRANULE/.*_B11_20m.jp2, found no such '
                       'file; the product is incomplete'):
        open_input(own_product, 's2_l2a')


def test_truncated_metadata(own_product):
    path = own_product / 'MTD_MSIL2A.xml'
    path.write_text(path.read_text()[:400])
    with pytest.raises(RasterContractError, match='expected XML in MTD_MSIL2A'
                       '.xml, found a file that breaks off'):
        open_input(own_product, 's2_l2a')


def test_metadata_without_images(own_product):
    (own_product / 'MTD_MSIL2A.xml').write_text(
        product_metadata([], '2022-03-01T10:00:31Z', '04.00', -1000))
    with pytest.raises(RasterContractError, match='lists no IMAGE_FILE'):
        open_input(own_product, 's2_l2a')


def test_no_metadata(own_product):
    path = own_product / 'MTD_MSIL2A.xml'
    path.rename(own_product / 'MTD_MSIL1C.xml')
    with pytest.raises(RasterContractError, match='expected a Sentinel-2 '
                       'Level-2A product .* found Level-1C'):
        open_input(own_product, 's2_l2a')
    (own_product / 'MTD_MSIL1C.xml').unlink()
    with pytest.raises(RasterContractError, match='download is incomplete'):
        open_input(own_product, 's2_l2a')


def test_sensor_of_another_satellite(product):
    with pytest.raises(RasterContractError, match="sensor 's1_grd' expects "
                       "band 'VV', but MTD_MSIL2A.xml lists no image of it"):
        open_input(product, 's1_grd')
    with pytest.raises(ValueError, match='the sensor must be known'):
        open_input(product)


def test_offsets_that_differ(own_product):
    path = own_product / 'MTD_MSIL2A.xml'
    path.write_text(path.read_text().replace(
        '<BOA_ADD_OFFSET band_id="3">-1000', '<BOA_ADD_OFFSET band_id="3">-9'))
    with pytest.raises(RasterContractError, match='one BOA_ADD_OFFSET for all '
                       r'bands, found \[-1000.0, -9.0\]'):
        open_input(own_product, 's2_l2a')
