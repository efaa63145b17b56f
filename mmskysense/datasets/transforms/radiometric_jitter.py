# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Radiometric augmentation of views, by the physics of each sensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmskysense.registry import TRANSFORMS
from mmskysense.sensors import Sensor, Unit, get_sensor

#: Weights of red, green and blue in luminance, ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

# All strengths are ours; none is published.
_DEFAULTS: dict[Unit, dict[str, float]] = {
    Unit.DIGITAL_NUMBER_8BIT:
    dict(brightness=0.3, contrast=0.3, gamma=0.25, band_gain=0.0,
         grayscale_prob=0.1, blur_prob=0.3),
    Unit.REFLECTANCE_X10000:
    dict(gain=0.1, band_gain=0.05, offset=100.0, blur_prob=0.1),
    Unit.DECIBEL:
    dict(shift=1.0, speckle=1.0),
}


@TRANSFORMS.register_module()
class RadiometricJitter(BaseTransform):
    """Vary how a view was measured, not what it shows (ours).

    Works on ``global_views`` and ``local_views`` in file units, each view
    and date on its own; pixels that were not measured stay 0.

    - 8-bit imagery: brightness, contrast, gamma, a gain for each band (colour
      balance; off unless asked for), grey, blur.
    - Reflectance: a common gain (illumination), a gain for each band
      (calibration), an offset (haze), blur.
    - Backscatter: a shift (calibration) and noise (speckle is additive in
      decibels), both in dB.

    Args:
        prob: Probability that a date of a view is changed at all.
        options: Sensor -> strengths that replace the defaults: ``brightness,
            contrast, gamma, band_gain`` (relative), ``grayscale_prob,
            blur_prob``; ``gain, band_gain`` (relative), ``offset`` (file
            units); ``shift, speckle`` (dB). 0 turns one off; None turns the
            sensor off.

    Raises:
        ValueError: An option that the sensor does not have.
    """

    def __init__(
            self,
            prob: float = 0.8,
            options: Mapping[str, Mapping[str, float] | None] | None = None
    ) -> None:
        self.prob = prob
        self.options: dict[str, Any] = dict(options or {})
        for name, given in self.options.items():
            known = _DEFAULTS[get_sensor(name).unit]
            unknown = sorted(set(given or {}) - set(known))
            if unknown:
                raise ValueError(
                    f"RadiometricJitter: options['{name}'] has {unknown}, "
                    f'expected some of {sorted(known)}')

    def transform(self, results: dict) -> dict:
        """Vary all views in place."""
        for key in ('global_views', 'local_views'):
            for view in results.get(key, ()):
                for name, images in view['images'].items():
                    self._vary(get_sensor(name), images, view['valid'][name])
        return results

    def strength(self, name: str) -> dict[str, float] | None:
        """Strengths for a sensor; None where it is turned off."""
        given = self.options.get(name, {})
        return None if given is None else {
            **_DEFAULTS[get_sensor(name).unit], **given}

    def _vary(self, sensor: Sensor, images: np.ndarray,
              valid: np.ndarray) -> None:
        strength = self.strength(sensor.name)
        if strength is None:
            return
        change = {
            Unit.DIGITAL_NUMBER_8BIT: _vary_digital_numbers,
            Unit.REFLECTANCE_X10000: _vary_reflectance,
            Unit.DECIBEL: _vary_backscatter,
        }[sensor.unit]
        for image, seen in zip(images, valid, strict=True):
            if np.random.rand() < self.prob and seen.any():
                image[...] = np.where(seen, change(image, seen, strength), 0)

    def __repr__(self) -> str:
        return f'RadiometricJitter(prob={self.prob}, {self.options})'


def _factor(strength: float, count: int = 1) -> np.ndarray:
    """Factors around 1, float32 (count,)."""
    return (1 + np.random.uniform(-strength, strength, count)).astype(
        np.float32)


def _vary_digital_numbers(image: np.ndarray, seen: np.ndarray,
                          strength: Mapping[str, float]) -> np.ndarray:
    image = image * _factor(strength['brightness'])
    if strength['band_gain']:
        image = image * _factor(strength['band_gain'],
                                len(image))[:, None, None]
    middle = image[:, seen].mean(axis=1)[:, None, None]
    image = (image - middle) * _factor(strength['contrast']) + middle
    image = np.clip(image, 0, 255)
    image = 255 * (image / 255)**_factor(strength['gamma'])
    if np.random.rand() < strength['grayscale_prob'] and len(image) == 3:
        image = np.broadcast_to(
            np.tensordot(LUMA, image, 1)[None], image.shape)
    return _maybe_blur(image, seen, strength['blur_prob'])


def _vary_reflectance(image: np.ndarray, seen: np.ndarray,
                      strength: Mapping[str, float]) -> np.ndarray:
    gain = _factor(strength['gain']) * _factor(strength['band_gain'],
                                               len(image))
    offset = np.random.uniform(-strength['offset'], strength['offset'])
    image = image * gain[:, None, None] + np.float32(offset)
    return _maybe_blur(image, seen, strength['blur_prob'])


def _vary_backscatter(image: np.ndarray, seen: np.ndarray,
                      strength: Mapping[str, float]) -> np.ndarray:
    shift = np.random.uniform(-strength['shift'], strength['shift'])
    noise = np.random.standard_normal(image.shape).astype(np.float32)
    return image + np.float32(shift) + noise * np.float32(strength['speckle'])


def _maybe_blur(image: np.ndarray, seen: np.ndarray,
                prob: float) -> np.ndarray:
    """Gaussian blur of 0.3 to 1.2 pixels that leaves unmeasured pixels out."""
    if np.random.rand() >= prob:
        return image
    sigma = np.random.uniform(0.3, 1.2)
    taps = np.exp(-0.5 * (np.arange(-3, 4) / sigma)**2)
    kernel = torch.from_numpy((taps / taps.sum()).astype(np.float32))
    stack = np.concatenate([np.where(seen, image, 0), seen[None]])
    blurred = torch.from_numpy(stack.astype(np.float32))[:, None]
    blurred = torch.conv2d(blurred, kernel.view(1, 1, 1, -1), padding=(0, 3))
    blurred = torch.conv2d(blurred, kernel.view(1, 1, -1, 1), padding=(3, 0))
    result = blurred[:, 0].numpy()
    return result[:-1] / np.maximum(result[-1], 1e-6)
