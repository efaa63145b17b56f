# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The table of sensors."""

import dataclasses
from importlib import import_module

import pytest

sensors = import_module('mmskysense.sensors')


@pytest.mark.parametrize('name', list(sensors.SENSORS))
def test_entries_are_complete(name: str) -> None:
    sensor = sensors.get_sensor(name)
    assert sensor.name == name
    assert len(sensor.mean) == len(sensor.std) == sensor.num_bands
    assert min(sensor.std) > 0
    low, high = sensor.valid_range
    assert all(low <= mean <= high for mean in sensor.mean)
    assert len(set(sensor.band_names)) == sensor.num_bands
    assert len(sensor.default_bands) == 3
    for band in sensor.default_bands:
        sensor.band_index(band)


@pytest.mark.parametrize('spelling,index', [
    ('B02', 0), ('b2', 0), ('Blue', 0), (' B8A ', 7), ('nir08', 7),
    ('swir2', 9)])
def test_bands_are_found_by_any_spelling(spelling: str, index: int) -> None:
    assert sensors.get_sensor('s2_l2a').band_index(spelling) == index


@pytest.mark.parametrize('name', list(sensors.SENSORS))
def test_no_spelling_denotes_two_bands(name: str) -> None:
    bands = sensors.get_sensor(name).bands
    for band in bands:
        for spelling in (band.name, band.common_name, *band.aliases):
            assert sum(other.is_named(spelling) for other in bands) == 1


def test_order_is_the_published_one() -> None:
    assert sensors.get_sensor('s2_l2a').band_names == (
        'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12')
    assert sensors.get_sensor('s1_grd').band_names == ('VV', 'VH')


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match='hr_rgb, s2_l2a, s1_grd'):
        sensors.get_sensor('sentinel2')
    with pytest.raises(KeyError, match='VV, VH'):
        sensors.get_sensor('s1_grd').band_index('HH')


def test_registering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, 'SENSORS', dict(sensors.SENSORS))
    planet = dataclasses.replace(sensors.get_sensor('hr_rgb'), name='planet')
    assert sensors.register_sensor(planet) is sensors.get_sensor('planet')
    assert sensors.register_sensor(planet) is planet  # the same again
    other = dataclasses.replace(planet, nodata=0)
    with pytest.raises(KeyError, match='force=True'):
        sensors.register_sensor(other)
    sensors.register_sensor(other, force=True)
    assert sensors.get_sensor('planet').nodata == 0


@pytest.mark.parametrize('change,message', [
    (dict(mean=(1.0, )), 'mean has 1 values'),
    (dict(merge=(1, 2)), r'merge=\(1, 2\)')])
def test_contradictions_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(sensors.get_sensor('hr_rgb'), **change)


def test_table_imports_nothing_of_ours() -> None:
    with open(sensors.__file__, encoding='utf-8') as file:
        assert 'import mmskysense' not in file.read()
