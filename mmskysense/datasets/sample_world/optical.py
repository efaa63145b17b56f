# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""High-resolution RGB pictures and the Sentinel-2-like series.

Both are rendered from the same layers. Radiometry is ours: linear mixing of
the materials' reflectance, a single-layer haze, sun and sky light, sensor
noise of the order of the instruments' specifications.
"""

from __future__ import annotations

import cv2
import numpy as np

from .noise import fractal_noise, pixel_noise, place_number, place_rng
from .spectra import reflectance
from .surface import Surface
from .window import Window

_RGB = [2, 1, 0]


def sun_position(day: int) -> tuple[float, float]:
    """Sun elevation and azimuth in degrees about 10:40 local time, 49 N."""
    declination = 23.44 * np.sin(2 * np.pi * (day - 81) / 365)
    elevation = 90 - 49 + declination - 5
    return float(elevation), 150.0


def sunlight(height: np.ndarray, day: int, resolution: float) -> np.ndarray:
    """Relative light on each pixel: slope, cast shadow and sky light.

    Args:
        height: Height above ground in metres, float32 (H, W).
        day: Day of the year; sets the sun.
        resolution: Pixel size in metres.

    Returns:
        float32 (H, W), 1 on flat open ground.
    """
    elevation, azimuth = (np.radians(v) for v in sun_position(day))
    # Unit step towards the sun in columns and rows (rows grow southwards).
    step = np.array([np.sin(azimuth), -np.cos(azimuth)])
    rise = np.tan(elevation) * resolution
    relief = float(height.max() - height.min())
    shadow = np.zeros(height.shape, bool)
    reach = int(np.ceil(relief / rise))
    for k in range(1, min(reach, 90) + 1):
        dx, dy = (int(v) for v in np.round(step * k))
        moved = _shift(height, dx, dy)
        shadow |= moved - k * rise > height + 0.3
    smooth = cv2.GaussianBlur(height, (0, 0), 0.7)
    gy, gx = np.gradient(smooth, resolution)
    gx, gy = np.clip(gx, -1.2, 1.2), np.clip(gy, -1.2, 1.2)
    cosine = (np.sin(elevation) - np.cos(elevation) * (
        gx * step[0] + gy * step[1])) / np.sqrt(1 + gx**2 + gy**2)
    direct = np.clip(cosine / np.sin(elevation), 0, 2.0)
    lit = cv2.GaussianBlur(np.float32(1) - shadow, (0, 0), 0.6)
    return (0.22 + 0.78 * direct * lit).astype(np.float32)


def _shift(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """out[r, c] = image[r + dy, c + dx], zero outside."""
    h, w = image.shape
    out = np.zeros_like(image)
    r0, r1 = max(0, -dy), min(h, h - dy)
    c0, c1 = max(0, -dx), min(w, w - dx)
    if r0 < r1 and c0 < c1:
        out[r0:r1, c0:c1] = image[r0 + dy:r1 + dy, c0 + dx:c1 + dx]
    return out


def render_rgb(surface: Surface, day: int, seed: int,
               acquisition: int) -> np.ndarray:
    """Picture of a window as an aerial camera would deliver it.

    Args:
        surface: The layers, margin included.
        day: Day of the year.
        seed: Seed of the world.
        acquisition: Which flight: sets haze, white balance and exposure.

    Returns:
        uint8 (H, W, 3) red, green, blue.
    """
    rng = place_rng(seed, 900, acquisition)
    light = sunlight(surface.height, day, surface.window.resolution)
    colour = surface.reflectance(day)[:, _RGB][surface.segment]
    radiance = colour * (surface.texture * light)[..., None]
    haze = rng.uniform(0.003, 0.02) * np.array([0.75, 0.95, 1.25])
    balance = np.exp(rng.normal(0, 0.11, 3))
    exposure = rng.uniform(1.9, 4.2)
    gamma = rng.uniform(1.9, 2.4)
    gain, offset = (balance * exposure).astype(np.float32), (
        haze * balance * exposure).astype(np.float32)
    signal = cv2.GaussianBlur(radiance, (0, 0), 0.55) * gain + offset
    # A soft shoulder keeps bright roofs from burning out.
    tone = cv2.pow(signal / (1 + np.float32(0.35) * signal), 1 / gamma) * 255
    noise = place_rng(seed, 905, acquisition, surface.window.column,
                      surface.window.row)
    tone += noise.standard_normal(tone.shape, np.float32) * np.float32(
        rng.uniform(0.6, 1.8))
    return np.clip(np.rint(tone), 0, 255).astype(np.uint8)


def fractions(surface: Surface, factor: int, spread: float,
              light: np.ndarray | None = None) -> np.ndarray:
    """Share of every segment in the pixels of a coarse sensor.

    Args:
        surface: The layers.
        factor: Fine pixels along a coarse one, even.
        spread: Standard deviation of the point spread in coarse pixels.
        light: Weight of each fine pixel (H, W), default 1.

    Returns:
        float32 (n, h, w); sums to the mean weight over n.
    """
    n = len(surface.segments)
    h, w = surface.window.height // factor, surface.window.width // factor
    fine = factor // 2  # count on a grid of half coarse pixels, then blur
    rows = np.arange(h * factor, dtype=np.int32) // fine * (2 * w)
    columns = np.arange(w * factor, dtype=np.int32) // fine
    index = surface.segment * (4 * h * w) + (rows[:, None] + columns)
    weight = None if light is None else light.ravel()
    share = np.bincount(index.ravel(), weight, n * 4 * h * w)
    share = share.reshape(n, 2 * h, 2 * w).astype(np.float32) / fine**2
    return (_point_spread(h, spread) @ share) @ _point_spread(w, spread).T


def _point_spread(size: int, spread: float) -> np.ndarray:
    """Matrix (size, 2 * size): Gaussian weights of half pixels."""
    half = (np.arange(2 * size) + 0.5) / 2
    centre = np.arange(size)[:, None] + 0.5
    weight = np.exp(-0.5 * ((half - centre) / spread)**2)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def cloud_layer(window: Window, seed: int, date: int
                ) -> tuple[np.ndarray, np.ndarray]:
    """Opacity of clouds and depth of their shadows, float32 (h, w) each."""
    rng = place_rng(seed, 910, date)
    amount = float(rng.choice([-9.0, -9.0, -2.3, -1.5, -0.6, 0.6]))
    field = fractal_noise(window, 420, seed * 13 + date, 5, 0.6)
    opacity = np.clip((field + amount) / 0.5, 0, 1)
    # Clouds float at 700 m or so: shadows fall away from the sun.
    shift = 180.0 / window.resolution
    columns = round(-shift * 0.5)
    rows = round(-shift * 0.87)
    shadow_window = Window(window.column - columns, window.row - rows,
                           window.width, window.height, window.resolution)
    field = fractal_noise(shadow_window, 420, seed * 13 + date, 5, 0.6)
    shadow = np.clip((field + amount) / 0.5, 0, 1)
    return opacity.astype(np.float32), (0.6 * shadow).astype(np.float32)


def swath_mask(window: Window, seed: int, date: int,
               share: float = 0.22) -> np.ndarray:
    """True where the orbit's edge leaves the ground unseen, bool (h, w)."""
    rng = place_rng(seed, 920, date)
    if rng.random() > share:
        return np.zeros(window.shape, bool)
    # The swath edge is a straight line, 12 degrees off north.
    x, y = window.x[None, :], window.y[:, None]
    across = x + 0.21 * y
    period = 2600.0
    phase = np.mod(across + rng.uniform(0, period), period)
    return phase < rng.uniform(500, 900)


def render_s2(surface: Surface, share: np.ndarray, window: Window, day: int,
              seed: int, date: int) -> np.ndarray:
    """One date of the Sentinel-2-like series.

    Args:
        surface: Layers whose segments are mixed.
        share: From :func:`fractions`, (n, h, w).
        window: The coarse window.
        day: Day of the year.
        seed: Seed of the world.
        date: Number of the acquisition.

    Returns:
        uint16 (10, h, w), reflectance x 10000, 0 where unseen.
    """
    rng = place_rng(seed, 930, date)
    table = surface.reflectance(day)
    mixed = np.einsum('nhw,nb->bhw', share, table, optimize=True)
    # Residual haze after atmospheric correction, strongest in the blue.
    haze = rng.gamma(2, 0.003) * np.array(
        [1.6, 1.2, 1.0, .9, .8, .7, .6, .6, .3, .2])[:, None, None]
    mixed = mixed * (1 + rng.normal(0, 0.02, (10, 1, 1))) + haze
    opacity, shadow = cloud_layer(window, seed, date)
    mixed = mixed * (1 - shadow * (1 - opacity))
    mixed = mixed * (1 - opacity) + opacity * reflectance(
        'cloud')[:, None, None] * rng.uniform(0.85, 1.15)
    noise = np.stack([pixel_noise(window, seed * 17 + date * 11 + b)
                      for b in range(10)])
    mixed = mixed + noise * 3.46 * (0.0012 + 0.006 * mixed)
    number = np.clip(np.round(mixed * 10000), 1, 16000).astype(np.uint16)
    number[:, swath_mask(window, seed, date)] = 0
    return number


def date_seen(seed: int, kind: int, tile: int, date: int,
              share: float = 0.88) -> bool:
    """Whether an acquisition was delivered for a tile at all."""
    return place_number(seed + 940 + kind, tile, date) < share
