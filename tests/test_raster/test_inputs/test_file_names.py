# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import datetime

import pytest

from mmskysense.raster.inputs import DateRange
from mmskysense.raster.inputs.file_names import (
    bands_named,
    find_date,
    resolution_named,
)
from mmskysense.sensors import get_sensor

DAY = datetime.date(2021, 4, 1)


@pytest.mark.parametrize('name, day', [
    ('T32TQM_20210401T100031_B02_10m.jp2', DAY),
    ('S2A_MSIL2A_20210401T100031_N0300_20220101T000000.SAFE', DAY),
    ('scene-2021-04-01.tif', DAY),
    ('2021_04_01.tif', DAY),
    ('s1a-iw-grd-vv-20210401t052300-20210401t052325-001.tiff', DAY),
    ('19990230_20210401.tif', DAY),
    ('tile_12021040133.tif', None),
    ('2021-0401.tif', None),
    ('scene.tif', None),
])
def test_finds_the_day_in_a_name(name, day):
    assert find_date(name) == day


@pytest.mark.parametrize('name, sensor, bands', [
    ('T32TQM_20210401T100031_B8A_20m.jp2', 's2_l2a', ['B8A']),
    ('x_B2.tif', 's2_l2a', ['B02']),
    ('red.tif', 's2_l2a', ['B04']),
    ('B8A_nir.tif', 's2_l2a', ['B8A']),
    ('x_SCL_20m.jp2', 's2_l2a', []),
    ('B022.tif', 's2_l2a', []),
    ('s1a-iw-grd-vh-20210401t052300.tiff', 's1_grd', ['VH']),
    ('VV_VH_ratio.tif', 's1_grd', ['VV', 'VH']),
    ('red-jp2', 's2_l2a', ['B04']),
])
def test_finds_bands_in_a_name(name, sensor, bands):
    found = bands_named(name, get_sensor(sensor))
    assert [band.name for band in found] == bands


def test_resolution_in_a_name():
    assert resolution_named('T32TQM_B02_10m.jp2') == 10
    assert resolution_named('/x_60m/B02_0.5m') == 0.5
    assert resolution_named('3m_B02.tif') == 3
    assert resolution_named('B02.tif') is None


def test_date_range_includes_both_ends():
    summer = DateRange.parse('2021-04-01/2021-09-30')
    assert DAY in summer and datetime.date(2021, 9, 30) in summer
    assert datetime.date(2021, 10, 1) not in summer
    assert str(summer) == '2021-04-01/2021-09-30'
    assert DAY in DateRange.parse('2021-04-01')
    assert DAY in DateRange.parse('../2021-05-01')
    assert DAY not in DateRange.parse('2021-05-01/..')


@pytest.mark.parametrize('text, message', [
    ('2021-13-01/2021-09-30', "'2021-13-01' is no day"),
    ('April', "'April' is no day"),
    ('2021-04-01/2021-05-01/2021-06-01', 'expected FIRST/LAST'),
    ('2021-09-30/2021-04-01', 'last day is before the first'),
])
def test_malformed_ranges_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        DateRange.parse(text)
