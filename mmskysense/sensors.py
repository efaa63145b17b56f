# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The table of sensors: the one place that knows bands, units and statistics.

Everything that touches pixel values (loaders, tokenizers, preprocessors,
the sample world, raster writers) asks this table, so a band order or a unit
is written down once. Add a sensor with :func:`register_sensor`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Unit(str, Enum):
    """Physical meaning of the numbers in a sensor's files."""

    DIGITAL_NUMBER_8BIT = '8-bit digital number (0 to 255)'
    REFLECTANCE_X10000 = 'surface reflectance x 10000'
    DECIBEL = 'backscatter in dB'
    DIGITAL_NUMBER = 'uncalibrated digital number'
    DIGITAL_DECIBEL = 'uncalibrated amplitude in dB'


@dataclass(frozen=True)
class Band:
    """One spectral or polarisation channel.

    Args:
        name: The data provider's name, for example ``'B8A'`` or ``'VV'``.
        common_name: Colour or range name, for example ``'red'``.
        wavelength: Centre wavelength in nanometres; ``None`` for radar.
        aliases: Other spellings found in band descriptions of real files.

    Raises:
        ValueError: The wavelength cannot be in nanometres.
    """

    name: str
    common_name: str = ''
    wavelength: float | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Ultraviolet to thermal infrared; 0.66 and 10.9 are micrometres.
        if self.wavelength is not None and not \
                100 <= self.wavelength <= 20_000:
            raise ValueError(
                f"band '{self.name}': wavelength={self.wavelength}, expected "
                'nanometres (100 to 20000), or None for radar; multiply '
                'micrometres by 1000')

    def is_named(self, name: str) -> bool:
        """Whether ``name`` denotes this band (case does not matter)."""
        spellings = (self.name, self.common_name, *self.aliases)
        return name.strip().lower() in {s.lower() for s in spellings if s}


@dataclass(frozen=True)
class Sensor:
    """The contract between the files of a sensor and the model.

    Args:
        name: Key used in configs and in dicts of tensors.
        title: What a person calls it.
        bands: Channels in the order in which the model expects them.
        ground_sample_distance: Nominal pixel size in metres.
        unit: Physical meaning of the file's numbers.
        mean: Per-band mean in file units, for normalisation.
        std: Per-band standard deviation in file units.
        dtypes: NumPy dtype names that a file may have.
        valid_range: Lowest and highest plausible value in file units.
        nodata: Value that means "no measurement" when a file does not name
            its own; ``None`` when the sensor has no convention.
        merge: Stages (2, 3, 4) at whose entry adaptive patch merging halves
            the resolution; the other transitions keep it (spec section 1).
        default_bands: Names of three bands shown as red, green, blue.
        statistics_source: Where ``mean`` and ``std`` come from.

    Raises:
        ValueError: The fields contradict each other.
    """

    name: str
    title: str
    bands: tuple[Band, ...]
    ground_sample_distance: float
    unit: Unit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtypes: tuple[str, ...]
    valid_range: tuple[float, float]
    nodata: float | None = None
    merge: tuple[int, ...] = ()
    default_bands: tuple[str, ...] = field(default=())
    statistics_source: str = ''

    def __post_init__(self) -> None:
        for what in ('mean', 'std'):
            if len(getattr(self, what)) != len(self.bands):
                raise ValueError(
                    f"sensor '{self.name}': {what} has "
                    f'{len(getattr(self, what))} values, expected one for '
                    f'each of its {len(self.bands)} bands')
        if not set(self.merge) <= {2, 3, 4}:
            raise ValueError(
                f"sensor '{self.name}': merge={self.merge} names stages that "
                'do not exist; expected a subset of (2, 3, 4)')
        if not self.bands or len(set(self.band_names)) < len(self.bands):
            raise ValueError(
                f"sensor '{self.name}': expected one band or more, each with "
                f'a name of its own, found {self.band_names}')
        if self.ground_sample_distance <= 0 or min(self.std) <= 0:
            raise ValueError(
                f"sensor '{self.name}': expected ground_sample_distance (in "
                'metres) and every std above 0, found '
                f'{self.ground_sample_distance} and {self.std}')
        for band in self.default_bands:
            if not any(own.is_named(band) for own in self.bands):
                raise ValueError(
                    f"sensor '{self.name}': default_bands names '{band}', "
                    f"expected some of {', '.join(self.band_names)}")

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in model order."""
        return tuple(band.name for band in self.bands)

    @property
    def num_bands(self) -> int:
        """Number of input channels of the sensor's tokenizer."""
        return len(self.bands)

    def band_index(self, name: str) -> int:
        """Position of a band in model order.

        Args:
            name: Band name, common name or alias; case does not matter.

        Raises:
            KeyError: The sensor has no such band; the message lists them.
        """
        for index, band in enumerate(self.bands):
            if band.is_named(name):
                return index
        raise KeyError(f"sensor '{self.name}' has no band '{name}'; it has "
                       f"{', '.join(self.band_names)}")


# Centre wavelengths: Sentinel-2A, ESA Sentinel-2 User Handbook (2015).
_S2_BANDS = (
    Band('B02', 'blue', 492.4, ('B2',)),
    Band('B03', 'green', 559.8, ('B3',)),
    Band('B04', 'red', 664.6, ('B4',)),
    Band('B05', 'rededge1', 704.1, ('B5', 'rededge')),
    Band('B06', 'rededge2', 740.5, ('B6',)),
    Band('B07', 'rededge3', 782.8, ('B7',)),
    Band('B08', 'nir', 832.8, ('B8',)),
    Band('B8A', 'nir08', 864.7, ('B08A', 'rededge4')),
    Band('B11', 'swir16', 1613.7, ('swir1',)),
    Band('B12', 'swir22', 2202.4, ('swir2',)),
)

_SKYSENSE_STATISTICS = ('normalisation of the SkySense++ release, '
                        'Sentinel-2 digital numbers and Sentinel-1 dB')

_NOT_MEASURED = ('rough, ours: not measured on real files; the dataset '
                 'converters print those of yours')
# Gaofen-2 PMS: WMO OSCAR, instrument PMS-2. The files are uint16 with 10
# bits, or uint8.
_GF2_BANDS = (Band('blue', 'blue', 485.0, ('MSS1',)),
              Band('green', 'green', 555.0, ('MSS2',)),
              Band('red', 'red', 660.0, ('MSS3',)),
              Band('nir', 'nir', 830.0, ('MSS4',)))
# Landsat-8 OLI: Barsi et al., Remote Sensing 6(10), 2014, centres.
_LANDSAT8_BANDS = (
    Band('B1', 'coastal', 443.0, ('B01', 'SR_B1')),
    Band('B2', 'blue', 482.0, ('B02', 'SR_B2')),
    Band('B3', 'green', 561.4, ('B03', 'SR_B3')),
    Band('B4', 'red', 654.6, ('B04', 'SR_B4')),
    Band('B5', 'nir08', 864.7, ('B05', 'SR_B5', 'nir')),
    Band('B6', 'swir16', 1608.9, ('B06', 'SR_B6', 'swir1')),
    Band('B7', 'swir22', 2200.7, ('B07', 'SR_B7', 'swir2')),
)
# PlanetScope, four bands in the order of its files: middles of the ranges in
# Planet's band table of the eight-band asset.
_PLANETSCOPE_BANDS = (Band('blue', 'blue', 490.0),
                      Band('green', 'green', 565.0),
                      Band('red', 'red', 665.0), Band('nir', 'nir', 865.0))
# Middles of what frame and line cameras of aerial surveys record; cameras
# differ by some 20 nm, orthophotos seldom say which one was flown.
_AERIAL_BANDS = (Band('R', 'red', 635.0), Band('G', 'green', 555.0),
                 Band('B', 'blue', 465.0),
                 Band('N', 'nir', 845.0, ('NIR', 'near infrared')))

SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        Sensor(
            name='hr_rgb',
            title='high-resolution RGB',
            bands=(Band('R', 'red', 660.0, ('B1_red', )),
                   Band('G', 'green', 550.0), Band('B', 'blue', 480.0)),
            ground_sample_distance=0.3,
            unit=Unit.DIGITAL_NUMBER_8BIT,
            mean=(123.675, 116.28, 103.53),
            std=(58.395, 57.12, 57.375),
            dtypes=('uint8', ),
            valid_range=(0, 255),
            merge=(2, 3, 4),
            default_bands=('R', 'G', 'B'),
            statistics_source='ImageNet'),
        Sensor(
            name='s2_l2a',
            title='Sentinel-2 L2A',
            bands=_S2_BANDS,
            ground_sample_distance=10.0,
            unit=Unit.REFLECTANCE_X10000,
            mean=(884.30, 1144.16, 1297.47, 1624.91, 2194.64, 2422.21,
                  2517.76, 2581.65, 2368.51, 1805.07),
            std=(1155.15, 1183.63, 1368.11, 1370.27, 1355.55, 1416.51,
                 1474.79, 1439.31, 1455.52, 1343.48),
            dtypes=('uint16', 'int16', 'int32', 'float32', 'float64'),
            valid_range=(-1000, 28000),
            nodata=0,
            default_bands=('B04', 'B03', 'B02'),
            statistics_source=_SKYSENSE_STATISTICS),
        Sensor(
            name='s1_grd',
            title='Sentinel-1 GRD',
            bands=(Band('VV', 'co-polarised', None,
                        ('gamma0_vv', 'sigma0_vv')),
                   Band('VH', 'cross-polarised', None,
                        ('gamma0_vh', 'sigma0_vh'))),
            ground_sample_distance=10.0,
            unit=Unit.DECIBEL,
            mean=(-12.548, -20.192),
            std=(5.257, 5.912),
            dtypes=('float32', 'float64', 'int16'),
            valid_range=(-70.0, 35.0),
            # Swath edges are commonly filled with 0; real 0.000 dB is not met.
            nodata=0,
            default_bands=('VV', 'VH', 'VV'),
            statistics_source=_SKYSENSE_STATISTICS),
        Sensor(
            name='gf2',
            title='Gaofen-2 multispectral',
            bands=_GF2_BANDS,
            ground_sample_distance=4.0,
            unit=Unit.DIGITAL_NUMBER,
            mean=(400.0, 400.0, 400.0, 400.0),
            std=(200.0, 200.0, 200.0, 200.0),
            dtypes=('uint16', 'uint8'),
            valid_range=(0, 4095),
            nodata=0,
            merge=(2, 3, 4),
            default_bands=('red', 'green', 'blue'),
            statistics_source=_NOT_MEASURED),
        Sensor(
            name='landsat8',
            title='Landsat-8 OLI',
            bands=_LANDSAT8_BANDS,
            ground_sample_distance=30.0,
            unit=Unit.REFLECTANCE_X10000,
            mean=(2000.0, 2000.0, 2000.0, 2000.0, 3000.0, 2000.0, 1500.0),
            std=(2000.0, 2000.0, 2000.0, 2000.0, 2000.0, 1500.0, 1500.0),
            dtypes=('uint16', 'int16', 'int32', 'float32', 'float64'),
            valid_range=(-2000, 28000),
            nodata=0,
            default_bands=('B4', 'B3', 'B2'),
            statistics_source=_NOT_MEASURED),
        Sensor(
            name='planetscope',
            title='PlanetScope, four bands',
            bands=_PLANETSCOPE_BANDS,
            ground_sample_distance=3.0,
            unit=Unit.REFLECTANCE_X10000,
            mean=(671.26, 915.62, 1042.59, 2605.21),
            std=(596.94, 715.55, 957.96, 1059.90),
            dtypes=('uint16', 'int16', 'int32', 'float32', 'float64'),
            valid_range=(-1000, 28000),
            nodata=0,
            merge=(2, 3, 4),
            default_bands=('red', 'green', 'blue'),
            statistics_source="DynamicEarthNet's published training code"),
        Sensor(
            name='aerial_rgbn',
            title='aerial, RGB and near infrared',
            bands=_AERIAL_BANDS,
            ground_sample_distance=0.6,
            unit=Unit.DIGITAL_NUMBER_8BIT,
            mean=(107.93, 117.30, 98.79, 145.02),
            std=(38.25, 27.21, 26.55, 60.64),
            dtypes=('uint8', ),
            valid_range=(0, 255),
            merge=(2, 3, 4),
            default_bands=('R', 'G', 'B'),
            statistics_source='rough, ours: measured on three NAIP images of '
            'one place in North Dakota (2009, 2015, 2020)'),
        Sensor(
            name='gf3_polsar',
            title='Gaofen-3, four polarisations',
            bands=tuple(
                Band(name, what) for name, what in
                (('HH', 'horizontal'), ('HV', 'cross-polarised'),
                 ('VH', 'cross-polarised, vertical first'),
                 ('VV', 'vertical'))),
            ground_sample_distance=8.0,
            unit=Unit.DIGITAL_DECIBEL,
            mean=(40.0, 35.0, 35.0, 40.0),
            std=(10.0, 10.0, 10.0, 10.0),
            dtypes=('float32', 'float64'),
            valid_range=(-100.0, 200.0),
            merge=(2, 3, 4),
            default_bands=('HH', 'HV', 'VV'),
            statistics_source=_NOT_MEASURED),
    )
}


def get_sensor(name: str) -> Sensor:
    """Look a sensor up by name.

    Raises:
        KeyError: No such sensor; the message lists the known ones.
    """
    try:
        return SENSORS[name]
    except KeyError:
        raise KeyError(
            f"unknown sensor '{name}'; known: {', '.join(SENSORS)}. Register "
            'your own with mmskysense.sensors.register_sensor') from None


def get_sensors(names: Iterable[str]) -> tuple[Sensor, ...]:
    """Look several sensors up, in the order given."""
    return tuple(get_sensor(name) for name in names)


def register_sensor(sensor: Sensor, force: bool = False) -> Sensor:
    """Add a sensor to the table.

    Registering the same sensor again changes nothing, so a module that is
    imported by several processes, or a config that is read twice, may do it.

    Args:
        sensor: The new sensor.
        force: Replace an existing entry of the same name.

    Raises:
        KeyError: The name is taken by another one and ``force`` is false.
    """
    if SENSORS.get(sensor.name, sensor) != sensor and not force:
        raise KeyError(f"sensor '{sensor.name}' is already registered with "
                       'other fields; choose another name, or pass '
                       'force=True to replace it')
    SENSORS[sensor.name] = sensor
    return sensor
