# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Sensors that a config describes."""

from importlib import import_module

import pytest

from mmskysense.utils.config import read_config
from mmskysense.utils.config_sensors import (
    make_sensor,
    register_config_sensors,
)

sensors = import_module('mmskysense.sensors')
RAPIDEYE = dict(
    name='rapideye', title='RapidEye', unit='REFLECTANCE_X10000',
    bands=[dict(name='blue', common_name='blue', wavelength=475.0),
           dict(name='rededge', common_name='rededge1', wavelength=710.0,
                aliases=['re'])],
    ground_sample_distance=5.0, mean=[500.0, 900.0], std=[300.0, 500.0],
    dtypes=['uint16'], valid_range=[0, 20000], nodata=0, merge=[2, 3, 4])


@pytest.fixture(autouse=True)
def own_table(monkeypatch):
    monkeypatch.setattr(sensors, 'SENSORS', dict(sensors.SENSORS))


def test_config_registers_and_can_be_read_twice(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f'new_sensors = [{RAPIDEYE!r}]\n')
    for _ in range(2):
        read_config(str(config))
    sensor = sensors.get_sensor('rapideye')
    assert sensor.unit is sensors.Unit.REFLECTANCE_X10000
    assert sensor.mean == (500.0, 900.0) and sensor.merge == (2, 3, 4)
    assert sensor.band_index('RE') == 1
    with pytest.raises(KeyError, match='other fields'):
        register_config_sensors(
            dict(new_sensors=[{**RAPIDEYE, 'nodata': 1}]))


def test_part_of_a_known_sensor():
    bands = ['B6', 'B5', 'B4']
    made = make_sensor(dict(name='landsat8_false', like='landsat8',
                            bands=bands))
    known = sensors.get_sensor('landsat8')
    assert made.band_names == tuple(bands)
    assert made.mean == (2000.0, 3000.0, 2000.0)
    assert made.bands[1] == known.bands[4]
    assert made.ground_sample_distance == 30.0 and made.unit is known.unit
    assert made.default_bands == ()
    again = make_sensor(dict(name='mine', like='landsat8', nodata=-1))
    assert again.bands == known.bands and again.nodata == -1


@pytest.mark.parametrize('change, message', [
    (dict(gsd=3), "unknown fields \\['gsd'\\]"),
    (dict(unit='watts'), "unit='watts'"),
    (dict(std=[1.0, 0.0]), 'every std above 0'),
    (dict(bands=[dict(name='a', wavelenght=1.0)] * 2), 'expected name'),
    (dict(bands=[dict(name='a', wavelength=0.66)] * 2), 'micrometres'),
    (dict(bands=['a', 'a']), 'name of its own'),
    (dict(default_bands=['x']), "names 'x'"),
    (dict(ground_sample_distance=0), 'ground_sample_distance')])
def test_wrong_fields_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make_sensor({**RAPIDEYE, **change})


def test_missing_fields_and_wrong_lists_are_refused():
    with pytest.raises(ValueError, match=r"\['dtypes'.*missing"):
        make_sensor({k: v for k, v in RAPIDEYE.items() if k != 'dtypes'})
    with pytest.raises(ValueError, match='list of dicts'):
        register_config_sensors(dict(new_sensors=RAPIDEYE))
    with pytest.raises(KeyError, match='unknown sensor'):
        make_sensor(dict(name='x', like='nothing'))
    # Statistics of other bands are not taken along silently.
    with pytest.raises(ValueError, match=r"\['mean', 'std'\].*missing"):
        make_sensor(dict(name='x', like='landsat8',
                         bands=[dict(name='a', wavelength=600.0)]))
