# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Checks of a raster against the sensor table, before a model sees it.

A band in the wrong place or a unit that is off by 10000 trains without any
error and gives a bad model. Every check here refuses with one line that names
the file, what was expected, what was found and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmskysense.sensors import Sensor, Unit

# Fraction of measured pixels outside the plausible range that is taken for
# noise (those pixels become invalid) and not for a wrong unit (ours).
_OUTLIER_FRACTION = 0.1
# Below this many measured pixels a window says too little about units (ours).
_MINIMUM_PIXELS = 16
# A share needs more of them: three saturated pixels of the twenty that a
# window at the rim of a scene has must not stop a whole map (ours).
_MINIMUM_PIXELS_SHARE = 1024
#: Highest value of an image rendered to 8 bits.
BRIGHTEST_8BIT = 255
# 'B2' is no such number: it is blue for some sensors and green for others.
_GENERIC_NAME = re.compile(r'(?:band|layer|channel)?[ _\-:]*(\d+)', re.I)


class RasterContractError(ValueError):
    """A raster contradicts what the sensor table says about it."""


@dataclass(frozen=True)
class Grid:
    """Where the pixels of one raster lie.

    Args:
        path: File, for messages.
        crs: Coordinate reference system, or None.
        bounds: left, bottom, right, top in CRS units.
        pixel_size: Width and height of a pixel in CRS units, positive.
        shape: Height and width in pixels.
        has_transform: Whether the file is georeferenced at all.
    """

    path: str
    crs: Any
    bounds: tuple[float, float, float, float]
    pixel_size: tuple[float, float]
    shape: tuple[int, int]
    has_transform: bool = True


def is_generic_name(name: str, number: int) -> bool:
    """Whether a description says only the place of its band in the file.

    Args:
        name: Band description, e.g. ``'Band 1'`` or ``'1'``. Names such as
            ``'B1'`` are a data provider's, and mean a certain band.
        number: 1-based number of the band in the file.
    """
    match = _GENERIC_NAME.fullmatch(name.strip())
    return match is not None and int(match[1]) == number


def _example(sensor: Sensor) -> str:
    return '[' + ', '.join(f"'{name}'" for name in sensor.band_names) + ']'


def _select_named(path: str, sensor: Sensor, names: Sequence[str],
                  numbers: Sequence[int], origin: str) -> tuple[int, ...]:
    """Find each band of the sensor among the file's named bands."""
    chosen = []
    for band in sensor.bands:
        hits = [
            number for number, name in zip(numbers, names, strict=True)
            if name and band.is_named(name)
        ]
        # An exact spelling beats an alias, e.g. 'B8A' beside 'nir08'.
        exact = [
            number for number, name in zip(numbers, names, strict=True)
            if name and name.strip().lower() == band.name.lower()
        ]
        hits = exact if len(exact) == 1 else hits
        if len(hits) != 1:
            what = 'missing' if not hits else f'there {len(hits)} times'
            raise RasterContractError(
                f"{path}: sensor '{sensor.name}' expects bands "
                f"{', '.join(sensor.band_names)}, but '{band.name}' is {what}"
                f' among its {origin} ({", ".join(str(n) for n in names)}); '
                "name the file's bands in file order with bands=[...]")
        chosen.append(hits[0])
    return tuple(chosen)


def select_bands(path: str,
                 sensor: Sensor,
                 descriptions: Sequence[str | None],
                 colours: Sequence[str] = (),
                 bands: Sequence[str | int] | None = None) -> tuple[int, ...]:
    """Decide which band of a file is which band of the sensor.

    In order of authority: ``bands``; the file's band descriptions, unless
    they only count (``'Band 1'``, ``'Band 2'``, ... in file order); its
    colour interpretation (red, green, blue) where that names all bands of
    the sensor; the order of the table when the number of bands fits exactly.

    Args:
        path: File, for messages.
        sensor: Entry of the sensor table.
        descriptions: The file's band descriptions, None where there is none.
        colours: The file's colour interpretations, ``'alpha'`` is no data.
        bands: The names of ALL bands in the file, in file order, or the
            1-based numbers of the sensor's bands, in the sensor's order.

    Returns:
        1-based band numbers in the order of the sensor table.

    Raises:
        RasterContractError: The bands are not there, or not knowable.
    """
    colours = tuple(colours) or ('', ) * len(descriptions)
    numbers = [
        number for number, colour in enumerate(colours, 1)
        if colour != 'alpha'
    ]
    if bands is not None:
        return _select_given(path, sensor, len(descriptions), numbers, bands)
    names = [descriptions[number - 1] or '' for number in numbers]
    known = any(band.is_named(n) for band in sensor.bands for n in names if n)
    silent = all(not name or is_generic_name(name, number)
                 for number, name in zip(numbers, names, strict=True))
    if known or not silent:
        return _select_named(path, sensor, names, numbers,
                             'band descriptions')
    shades = [colours[number - 1] for number in numbers]
    if all(any(band.is_named(s) for s in shades if s)
           for band in sensor.bands):
        return _select_named(path, sensor, shades, numbers,
                             'colour interpretations')
    if len(numbers) == sensor.num_bands:
        return tuple(numbers)
    if len(numbers) < sensor.num_bands:
        remedy = 'give a file with all bands, or choose another sensor'
    else:
        spare = ["'unused'"] * (len(numbers) - sensor.num_bands)
        example = ', '.join([f"'{n}'" for n in sensor.band_names] + spare)
        remedy = (f"name the file's bands in file order, e.g. bands=[{example}"
                  '], or give their 1-based numbers, e.g. '
                  f'bands={list(range(1, sensor.num_bands + 1))}')
    raise RasterContractError(
        f"{path}: sensor '{sensor.name}' expects {sensor.num_bands} bands "
        f'({", ".join(sensor.band_names)}), found {len(numbers)} without band '
        f'descriptions; {remedy}')


def _select_given(path: str, sensor: Sensor, count: int,
                  numbers: Sequence[int],
                  bands: Sequence[str | int]) -> tuple[int, ...]:
    """Apply the user's own statement of which band is which."""
    if all(isinstance(band, str) for band in bands):
        if len(bands) == count:
            numbers = range(1, count + 1)
        elif len(bands) != len(numbers):
            raise RasterContractError(
                f'{path}: bands= names {len(bands)} bands, found {count} in '
                'the file; name every band of the file, in file order, e.g. '
                f'bands={_example(sensor)}')
        return _select_named(path, sensor, [str(b) for b in bands],
                             list(numbers), 'bands=')
    good = all(
        isinstance(band, int) and 1 <= band <= count for band in bands)
    if not good or len(bands) != sensor.num_bands:
        raise RasterContractError(
            f'{path}: bands={list(bands)} is not a list of {sensor.num_bands}'
            f' band numbers between 1 and {count}, one for each of '
            f'{", ".join(sensor.band_names)}')
    return tuple(int(band) for band in bands)


def check_dtype(path: str, sensor: Sensor, dtype: str,
                overridden: bool) -> None:
    """Refuse a data type that the sensor's unit cannot have.

    Args:
        path: File, for messages.
        sensor: Entry of the sensor table.
        dtype: NumPy name of the file's data type.
        overridden: Whether the user said by ``scale`` or ``offset`` how the
            file's values become the sensor's unit.

    Raises:
        RasterContractError: The type is not one of ``sensor.dtypes``.
    """
    if overridden or dtype in sensor.dtypes:
        return
    remedy = {
        Unit.DIGITAL_NUMBER_8BIT:
        'pass scale= (and offset=) that bring its values to 0..255',
        Unit.REFLECTANCE_X10000:
        'use the surface reflectance product, not a rendered image, or pass '
        'scale= (and offset=) that bring its values to reflectance x 10000',
        Unit.DECIBEL:
        "use the backscatter product, or pass scale= (scale='decibel' for "
        'linear power)',
        Unit.DIGITAL_NUMBER:
        'use the uncorrected product, or pass scale= (and offset=) that bring '
        'its values to digital numbers',
        Unit.DIGITAL_DECIBEL:
        'pass scale= (and offset=) that bring its values to 20 * log10 of the '
        'amplitude',
    }[sensor.unit]
    raise RasterContractError(
        f"{path}: sensor '{sensor.name}' expects {sensor.unit.value} as "
        f"{' or '.join(sensor.dtypes)}, found {dtype}; {remedy}")


def check_values(path: str, sensor: Sensor, values: np.ndarray,
                 valid: np.ndarray, dtype: str) -> np.ndarray:
    """Refuse values that cannot be in the sensor's unit.

    Args:
        path: File, for messages.
        sensor: Entry of the sensor table.
        values: float32 (C, H, W), after scale and offset.
        valid: bool (H, W), True where measured.
        dtype: NumPy name of the file's data type.

    Returns:
        ``valid`` without the isolated pixels that lie outside
        ``sensor.valid_range``: at most 10 % of the measured ones, or any
        share of fewer than 1024 (ours).

    Raises:
        RasterContractError: The unit is not the sensor's.
    """
    count = int(valid.sum())
    if count == 0:
        return valid
    low, high = sensor.valid_range
    measured = values if valid.all() else values[:, valid]
    least, most = float(measured.min()), float(measured.max())
    enough = count >= _MINIMUM_PIXELS
    if enough and sensor.unit is Unit.REFLECTANCE_X10000 \
            and dtype.startswith('float') and 0 < most <= 2.0:
        raise RasterContractError(
            f"{path}: sensor '{sensor.name}' expects {sensor.unit.value}, "
            f'found {least:.4g} to {most:.4g}, which looks like reflectance '
            '0..1; multiply by 10000 or pass scale=10000')
    if enough and sensor.unit is Unit.DECIBEL and least >= 0 and most > 0:
        raise RasterContractError(
            f"{path}: sensor '{sensor.name}' expects {sensor.unit.value}, "
            f'found {least:.4g} to {most:.4g} and nothing below zero, which '
            "looks like linear power; convert with 10*log10 or pass "
            "scale='decibel'")
    if least >= low and most <= high:
        return valid
    outside = ((values < low) | (values > high)).any(axis=0) & valid
    fraction = outside.sum() / count
    if count >= _MINIMUM_PIXELS_SHARE and fraction > _OUTLIER_FRACTION:
        raise RasterContractError(
            f"{path}: sensor '{sensor.name}' expects {low:g} to {high:g} "
            f'({sensor.unit.value}), found {least:.6g} to {most:.6g} in '
            f'{100 * fraction:.3g} % of the pixels out of range; pass scale= '
            'and offset=, or nodata= if those values mean no measurement')
    return valid & ~outside


def check_brightness(path: str, sensor: Sensor, count: int, most: float,
                     dtype: str = 'uint16') -> None:
    """Refuse a whole file that is too dark for reflectance x 10000.

    A picture rendered to 8 bits but stored as uint16, and reflectance in
    percent, have no value above 255. A window of deep clear water has none
    either, so this judges files, never windows (ours).

    Args:
        path: File, for messages.
        sensor: Entry of the sensor table.
        count: Number of measured pixels in the file.
        most: Highest measured value of any band.
        dtype: NumPy name of the file's data type. Fractions of at most 2 are
            judged from as few pixels as in :func:`check_values`.

    Raises:
        RasterContractError: The unit is not the sensor's.
    """
    fractions = dtype.startswith('float') and 0 < most <= 2.0
    least = _MINIMUM_PIXELS if fractions else _MINIMUM_PIXELS_SHARE
    if sensor.unit is not Unit.REFLECTANCE_X10000 or count < least \
            or most > BRIGHTEST_8BIT:
        return
    raise RasterContractError(
        f"{path}: sensor '{sensor.name}' expects {sensor.unit.value}, found "
        f'at most {most:.4g} in all {count} measured pixels, which looks like '
        'a picture rendered to 8 bits, or reflectance in percent or 0..1; use '
        'the surface reflectance product, pass scale=100 for percent or '
        'scale=10000 for 0..1, or scale=1.0 if it is really so dark (deep '
        'water)')


def check_alignment(grids: Sequence[Grid]) -> None:
    """Refuse rasters of one sample that do not cover the same ground.

    The first grid is the reference. Bounds may differ by half a pixel of the
    coarser of the two rasters. Files without any georeference (all of them)
    pass, since nothing is known.

    Raises:
        RasterContractError: CRS or bounds contradict.
    """
    for other in grids[1:]:
        _check_pair(grids[0], other)


def _check_pair(first: Grid, other: Grid) -> None:
    if first.crs != other.crs:
        raise RasterContractError(
            f'{other.path}: expected the CRS of {first.path} '
            f'({first.crs or "none"}), found {other.crs or "none"}; reproject '
            'one of them (gdalwarp -t_srs)')
    if not (first.has_transform or other.has_transform):
        return
    tolerance = [
        0.5 * max(a, b) * (1 + 1e-6)
        for a, b in zip(first.pixel_size, other.pixel_size, strict=True)
    ]
    differences = [
        abs(a - b) for a, b in zip(first.bounds, other.bounds, strict=True)
    ]
    if any(d > tolerance[i % 2] for i, d in enumerate(differences)):
        raise RasterContractError(
            f'{other.path}: expected the bounds of {first.path} '
            f'{_rounded(first.bounds)} within half a coarse pixel, found '
            f'{_rounded(other.bounds)}; crop both to the same window '
            '(gdalwarp -te)')


def _rounded(bounds: Sequence[float]) -> str:
    return '(' + ', '.join(f'{value:.8g}' for value in bounds) + ')'
