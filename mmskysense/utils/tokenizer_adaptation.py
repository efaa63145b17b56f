# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A tokenizer for a sensor that an encoder has never seen.

The first weights of a new sensor come from bands that measure the same part
of the spectrum. Ours: the paper trains a new tokenizer from scratch. Which
band took which weights is always reported.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmskysense.sensors import Band, Sensor, get_sensor, get_sensors

#: How weights are found, each tried for the bands that are still without.
METHODS = ('name', 'wavelength')
# Farther bands measure something else: red and near infrared are 180 nm
# apart, blue and coastal 50 nm (ours).
MAX_DISTANCE = 60.0
_PROMPT = re.compile(r'(stages\.\d+\.prompts\.tokens\.)([^.]+)$')


@dataclass(frozen=True)
class BandMatch:
    """Where the weights of one band come from.

    Args:
        band: Band of the new sensor.
        method: ``'name'``, ``'wavelength'`` or ``'fresh'``.
        source: Known sensor, ``None`` for fresh weights.
        source_band: Its band.
        distance: Between the centre wavelengths in nm, ``None`` for radar.
        share: Part of the source's kernel: one source band that serves n
            bands gives each 1/n.
    """

    band: str
    method: str
    source: str | None = None
    source_band: str | None = None
    distance: float | None = None
    share: float = 1.0

    def __str__(self) -> str:
        if self.source is None:
            return f'{self.band}: fresh (no band fits)'
        text = f'{self.band}: {self.source} {self.source_band}, by ' \
               f'{self.method}'
        if self.distance is not None:
            text += f', {self.distance:.0f} nm apart'
        return text + (f', 1/{round(1 / self.share)} of the kernel'
                       if self.share < 1 else '')


@dataclass(frozen=True)
class AdaptationReport:
    """What an adapted sensor was made of.

    Args:
        sensor: The new sensor.
        matches: One for each of its bands, in order.
        shared_from: Sensor whose bias, norm and prompts were copied, or
            ``None`` if they are fresh.
    """

    sensor: str
    matches: tuple[BandMatch, ...]
    shared_from: str | None

    @property
    def fresh(self) -> tuple[str, ...]:
        """Bands that start from random weights."""
        return tuple(match.band for match in self.matches
                     if match.source is None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for the ``meta`` of a checkpoint."""
        return asdict(self)

    def __str__(self) -> str:
        rest = (f'bias, norm and prompts: {self.shared_from}'
                if self.shared_from else 'bias, norm and prompts: fresh')
        return '\n'.join((f"sensor '{self.sensor}'",
                          *(f'  {match}' for match in self.matches),
                          f'  {rest}'))


def match_bands(target: Sensor, sources: Sequence[Sensor],
                methods: Sequence[str] = METHODS,
                max_distance: float = MAX_DISTANCE
                ) -> tuple[BandMatch, ...]:
    """Find for each band of a sensor the band whose weights it takes.

    By name means the common name (``red``, ``nir08``), for radar the
    polarisation; providers' names say nothing, since B5 is red edge for
    Sentinel-2 and near infrared for Landsat-8.

    Args:
        target: The new sensor.
        sources: Sensors with weights; earlier ones win where both fit.
        methods: Of :data:`METHODS`, in order; none: all bands are fresh.
        max_distance: Greatest difference of centre wavelengths in nm.

    Returns:
        One match for each band of the target.

    Raises:
        ValueError: Unknown method or negative distance.
    """
    unknown = sorted(set(methods) - set(METHODS))
    if unknown or max_distance < 0:
        raise ValueError(
            f'methods={tuple(methods)}, max_distance={max_distance}: expected '
            f'methods of {METHODS} and a distance of 0 nm or more')
    found: list[BandMatch] = []
    for band in target.bands:
        match = BandMatch(band.name, 'fresh')
        for method in methods:
            hit = (_by_name(band, sources) if method == 'name' else
                   _by_wavelength(band, sources, max_distance))
            if hit is not None:
                sensor, other = hit
                match = BandMatch(band.name, method, sensor.name, other.name,
                                  _distance(band, other))
                break
        found.append(match)
    uses = Counter((m.source, m.source_band) for m in found)
    return tuple(
        match if match.source is None else BandMatch(**{
            **asdict(match),
            'share': 1 / uses[match.source, match.source_band]
        }) for match in found)


def _distance(one: Band, other: Band) -> float | None:
    if one.wavelength is None or other.wavelength is None:
        return None
    return abs(one.wavelength - other.wavelength)


def _by_name(band: Band,
             sources: Sequence[Sensor]) -> tuple[Sensor, Band] | None:
    pairs = [(sensor, other) for sensor in sources for other in sensor.bands]
    if band.wavelength is None:
        tests = [lambda other: other.wavelength is None
                 and other.name.lower() == band.name.lower()]
    else:
        # The exact common name beats an alias: nir08 is not nir.
        tests = [
            lambda other: bool(band.common_name) and
            other.common_name == band.common_name,
            lambda other: any(
                one.common_name.lower() in
                {alias.lower() for alias in two.aliases}
                for one, two in ((band, other), (other, band))
                if one.common_name)
        ]
    for test in tests:
        for sensor, other in pairs:
            if (other.wavelength is None) == (band.wavelength is None) \
                    and test(other):
                return sensor, other
    return None


def _by_wavelength(band: Band, sources: Sequence[Sensor],
                   max_distance: float) -> tuple[Sensor, Band] | None:
    best: tuple[float, tuple[Sensor, Band]] | None = None
    for sensor in sources:
        for other in sensor.bands:
            distance = _distance(band, other)
            if distance is not None and distance <= max_distance and (
                    best is None or distance < best[0]):
                best = distance, (sensor, other)
    return None if best is None else best[1]


def adapt_tokenizer(state: Mapping[str, Tensor],
                    sensor: str,
                    sources: str | Sequence[str],
                    methods: Sequence[str] = METHODS,
                    max_distance: float = MAX_DISTANCE,
                    seed: int = 0) -> tuple[dict[str, Tensor],
                                            AdaptationReport]:
    """Make the weights of a new sensor out of an encoder's.

    Args:
        state: State dict of a :class:`SkySenseV2`.
        sensor: The new sensor, of the table.
        sources: Known sensors to take from; bias, norm and prompts come
            from the first. A tokenizer that is made of several starts as no
            sensor's own: expect to train it.
        methods: See :func:`match_bands`; none: everything is fresh.
        max_distance: See :func:`match_bands`.
        seed: Of fresh weights.

    Returns:
        The sensor's tensors under their keys in the encoder, and the report.

    Raises:
        KeyError: A sensor is not in the table.
        ValueError: The state has no tokenizer of a source, or the encoder's
            own tables do not fit it.
    """
    names = (sources, ) if isinstance(sources, str) else tuple(sources)
    target = get_sensor(sensor)
    kernels = {name: _kernel(state, name) for name in names}
    if not kernels:
        raise ValueError(f"sensor '{sensor}': no source sensor is named; "
                         'expected one at least')
    matches = match_bands(target, get_sensors(names), methods, max_distance)
    first = names[0]
    _, _, height, width = kernels[first].shape
    generator = torch.Generator().manual_seed(seed)

    def fresh(*shape: int) -> Tensor:
        """Drawn as SkySenseV2 starts its tokenizers and prompts."""
        return nn.init.trunc_normal_(torch.empty(*shape), std=0.02,
                                     generator=generator)

    embed_dims = len(kernels[first])
    bands = []
    for match in matches:
        if match.source is None or match.source_band is None:
            bands.append(fresh(embed_dims, height, width))
        else:
            index = get_sensor(match.source).band_index(match.source_band)
            bands.append(kernels[match.source][:, index] * match.share)
    prefix, own = f'tokenizers.{first}.', f'tokenizers.{sensor}.'
    made = {f'{own}projection.weight': torch.stack(bands, dim=1)}
    copied = any(match.source for match in matches)
    for key, value in state.items():
        prompt = _PROMPT.match(key)
        if key.startswith(prefix) and not key.endswith('projection.weight'):
            start = value.clone()
            if not copied:
                start = (torch.ones_like(value) if key.endswith('norm.weight')
                         else torch.zeros_like(value)
                         if key.endswith('norm.bias')
                         else fresh(*value.shape))
            made[own + key.removeprefix(prefix)] = start
        elif prompt and prompt[2] == first:
            made[prompt[1] + sensor] = (
                value.clone() if copied else fresh(*value.shape))
    return made, AdaptationReport(sensor, matches, first if copied else None)


def report_adaptation(report: AdaptationReport,
                      where: str = '') -> None:
    """Write a report to the log; a warning if any band starts at random."""
    print_log(f'{where}{": " if where else ""}tokenizer of {report}',
              'current',
              logging.WARNING if report.fresh else logging.INFO)


def _kernel(state: Mapping[str, Tensor], sensor: str) -> Tensor:
    """Projection (embed_dims, bands, k, k) of a sensor in a state dict."""
    key = f'tokenizers.{sensor}.projection.weight'
    if key not in state:
        present = sorted({k.split('.')[1] for k in state
                          if k.startswith('tokenizers.')})
        raise ValueError(
            f"sensor '{sensor}': the encoder has no such tokenizer, expected "
            f'one of {present}; take one of those as the source')
    kernel = state[key]
    bands = get_sensor(sensor).num_bands
    if kernel.shape[1] != bands:
        raise ValueError(
            f"sensor '{sensor}': the encoder's tokenizer has "
            f'{kernel.shape[1]} bands, the table {bands}; register the sensor '
            'as it was when the encoder was trained')
    return kernel
