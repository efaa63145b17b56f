# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Sensors that a config brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from mmskysense.sensors import Band, Sensor, Unit, get_sensor, register_sensor

#: Top-level name in a config.
FIELD = 'new_sensors'
_PER_BAND = ('mean', 'std')


def make_sensor(entry: Mapping[str, Any]) -> Sensor:
    """Make a sensor of plain values, as a config or a JSON file has them.

    Args:
        entry: Fields of :class:`Sensor`; ``bands`` is a list of names or of
            dicts of :class:`Band`'s fields, ``unit`` the name of a
            :class:`Unit`. With ``like``, the name of a known sensor, fields
            that are left out are that sensor's, and ``bands`` may name some
            of its bands: wavelengths and statistics are taken along.

    Returns:
        The sensor, not registered.

    Raises:
        KeyError: ``like`` is no known sensor, or lacks a band.
        ValueError: Fields are missing, unknown or contradict each other.
    """
    given = dict(entry)
    title = f"sensor '{given.get('name', '?')}'"
    like = given.pop('like', None)
    base = None if like is None else get_sensor(like)
    known = {field.name for field in fields(Sensor)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f'{title}: unknown fields {unknown}; expected some '
                         f'of {sorted(known | {"like"})}')
    if base is not None:
        given = {**_of_base(base, given.get('bands')), **given}
    needed = {field.name for field in fields(Sensor)
              if field.default is MISSING and field.default_factory is MISSING}
    missing = sorted(needed - set(given))
    if missing:
        raise ValueError(f'{title}: fields {missing} are missing; give them, '
                         "or like='...' to take another sensor's")
    given['bands'] = _bands(title, given['bands'], base)
    given['unit'] = _unit(title, given['unit'])
    for name, value in given.items():
        if isinstance(value, list):
            given[name] = tuple(value)
    return Sensor(**given)


def register_config_sensors(config: Mapping[str, Any]) -> tuple[Sensor, ...]:
    """Register what a config lists as ``new_sensors``.

    Args:
        config: A config; without that field nothing happens.

    Returns:
        The sensors, in the order of the list.

    Raises:
        KeyError: A name is taken by a different sensor.
        ValueError: An entry is no sensor.
    """
    entries = config.get(FIELD) or ()
    if isinstance(entries, Mapping | str):
        raise ValueError(f'{FIELD}: expected a list of dicts, found '
                         f'{type(entries).__name__}; write '
                         f'{FIELD} = [dict(name=...)]')
    return tuple(register_sensor(make_sensor(entry)) for entry in entries)


def _of_base(base: Sensor, bands: Sequence[Any] | None) -> dict[str, Any]:
    """Fields of a known sensor, for those of its bands that are named."""
    taken = {field.name: getattr(base, field.name) for field in fields(Sensor)
             if field.name != 'name'}
    if bands is None:
        return taken
    if not all(isinstance(band, str) for band in bands):
        # Bands of another making: the old statistics say nothing of them.
        for name in (*_PER_BAND, 'statistics_source'):
            taken.pop(name)
    else:
        indexes = [base.band_index(band) for band in bands]
        for name in _PER_BAND:
            taken[name] = tuple(taken[name][index] for index in indexes)
    kept = {band if isinstance(band, str) else band.get('name')
            for band in bands}
    if not kept >= set(base.default_bands):
        taken.pop('default_bands')
    return taken


def _bands(title: str, bands: Sequence[Any],
           base: Sensor | None) -> tuple[Band, ...]:
    made = []
    for band in bands:
        if isinstance(band, Band):
            made.append(band)
        elif isinstance(band, str):
            made.append(Band(band) if base is None else
                        base.bands[base.band_index(band)])
        else:
            try:
                fields_ = {**band, 'aliases': tuple(band.get('aliases', ()))}
                made.append(Band(**fields_))
            except TypeError as error:
                raise ValueError(
                    f'{title}: band {dict(band)}: expected name, common_name,'
                    f' wavelength (nm) and aliases ({error})') from None
    return tuple(made)


def _unit(title: str, unit: Any) -> Unit:
    if isinstance(unit, Unit):
        return unit
    if unit in Unit.__members__:
        return Unit[unit]
    raise ValueError(f"{title}: unit='{unit}', expected one of "
                     f"{', '.join(Unit.__members__)}")
