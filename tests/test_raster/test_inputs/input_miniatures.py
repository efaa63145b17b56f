# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Miniatures of what people have, in the layouts of their providers."""

import numpy as np
import rasterio
from rasterio.transform import from_origin

# Bands of a Level-2A product by folder, without those that hold no
# reflectance (AOT, WVP, TCI) and without the 60 m copies.
FOLDERS = {
    'R10m': ('B02', 'B03', 'B04', 'B08'),
    'R20m': ('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B11', 'B12', 'B8A',
             'SCL'),
}
BANDS = ('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12')


def band_value(band):
    """A reflectance x 10000 that tells the bands apart."""
    return 1000 + 100 * BANDS.index(band)


def write_band(path, value, side, pixel, driver='GTiff', dtype='uint16',
               crs='EPSG:32632', **options):
    """One band of one value, 600 m a side where ``side * pixel`` is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((1, side, side), value, dtype=dtype) \
        if np.isscalar(value) else value
    with rasterio.open(
            path, 'w', driver=driver, count=1, height=side, width=side,
            dtype=dtype, crs=crs,
            transform=from_origin(600000, 5000000, pixel, pixel),
            **options) as file:
        file.write(values)
    return path


def product_metadata(files, start, baseline, offset):
    """The parts of MTD_MSIL2A.xml that are read, in their places."""
    listed = ''.join(f'<IMAGE_FILE>{name}</IMAGE_FILE>' for name in files)
    offsets = '' if offset is None else (
        '<BOA_ADD_OFFSET_VALUES_LIST>' + ''.join(
            f'<BOA_ADD_OFFSET band_id="{number}">{offset}</BOA_ADD_OFFSET>'
            for number in range(13)) + '</BOA_ADD_OFFSET_VALUES_LIST>')
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.'
        'int/PSD/User_Product_Level-2A.xsd"><n1:General_Info><Product_Info>'
        f'<PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>'
        f'<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>'
        '<Product_Organisation><Granule_List><Granule imageFormat="JPEG2000">'
        f'{listed}</Granule></Granule_List></Product_Organisation>'
        '</Product_Info><Product_Image_Characteristics>'
        '<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">'
        '10000</BOA_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>'
        f'{offsets}</Product_Image_Characteristics></n1:General_Info>'
        '</n1:Level-2A_User_Product>')


def make_product(root, day='20210401', baseline='03.00', offset=None):
    """A Level-2A product whose tile is 600 m a side."""
    moment = f'{day}T100031'
    name = (f'S2A_MSIL2A_{moment}_N{baseline.replace(".", "")}_R122_T32TQM_'
            f'{day}T123456.SAFE')
    granule = f'GRANULE/L2A_T32TQM_A030160_{moment}/IMG_DATA'
    files = []
    for folder, bands in FOLDERS.items():
        pixel = int(folder[1:3])
        for band in bands:
            file = f'{granule}/{folder}/T32TQM_{moment}_{band}_{pixel}m'
            value = 4 if band == 'SCL' else band_value(band) - (offset or 0)
            side = 600 // pixel
            if band == 'SCL':
                value = np.full((1, side, side), 4, np.uint8)
                value[0, :5, :5] = 9  # a cloud
            write_band(
                root / name / (file + '.jp2'), value, side, pixel,
                'JP2OpenJPEG', 'uint8' if band == 'SCL' else 'uint16',
                QUALITY='100', REVERSIBLE='YES')
            files.append(file)
    start = f'{day[:4]}-{day[4:6]}-{day[6:]}T10:00:31.024Z'
    (root / name / 'MTD_MSIL2A.xml').write_text(
        product_metadata(files, start, baseline, offset))
    return root / name


TIFF = 'image/tiff; application=geotiff; profile=cloud-optimized'


def stac_item(assets, day='2021-04-01', name='scene', version='1.0.0',
              **properties):
    """A minimal STAC item."""
    return dict(
        type='Feature', stac_version=version, id=name, geometry=None,
        links=[], stac_extensions=[], assets=assets,
        properties=dict(datetime=f'{day}T10:00:31Z', **properties))
