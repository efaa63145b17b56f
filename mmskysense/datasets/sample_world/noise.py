# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Random numbers that belong to a place, not to the order of calls.

A landscape that is rendered window by window is seamless only if every
random choice depends on the seed and on world coordinates. All randomness of
the landscape therefore comes from an integer hash of lattice coordinates.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .window import Window

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF
# Standard deviation of uniform noise after a 2-D cubic B-spline:
# sqrt(1/12) times (151/315), the mean of the squared weights of one axis.
_SPLINE_STD = 0.288675 * 0.479365


def _mix(value: np.ndarray) -> np.ndarray:
    """Finaliser of splitmix64 (Steele et al., 2014): decorrelates bits."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def place_hash(seed: int, *keys: np.ndarray | int) -> np.ndarray:
    """Uniform numbers in [0, 1) that depend on the seed and the keys only.

    Args:
        seed: Non-negative seed; use another one for each purpose.
        keys: Integers or integer arrays, broadcast against each other.

    Returns:
        float64 array of the broadcast shape.
    """
    state = np.asarray((seed * _GOLDEN + 0x5851F42D) & _MASK, np.uint64)
    with np.errstate(over='ignore'):
        for key in keys:
            key = np.asarray(key, np.int64).astype(np.uint64)
            state = _mix((state ^ key) + np.uint64(_GOLDEN))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def place_number(seed: int, *keys: int) -> float:
    """:func:`place_hash` of plain integers, without NumPy's overhead."""
    state = (seed * _GOLDEN + 0x5851F42D) & _MASK
    for key in keys:
        state = ((state ^ (key & _MASK)) + _GOLDEN) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state >> 11) * 2.0**-53


def place_rng(seed: int, *keys: int) -> np.random.Generator:
    """Generator for the things of one place (a block, a tile, a date)."""
    return np.random.default_rng([seed, *(int(k) & 0xFFFFFFFF for k in keys)])


def _spline_weights(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First node (n,) and weights (n, 4) of a uniform cubic B-spline."""
    first = np.floor(t).astype(np.int64) - 1
    f = t - np.floor(t)
    weights = np.stack([(1 - f)**3, 3 * f**3 - 6 * f**2 + 4,
                        -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], -1) / 6
    return first, weights


def _spline_matrix(t: np.ndarray) -> tuple[int, np.ndarray]:
    """First node and the dense (n, nodes) interpolation matrix."""
    first, weights = _spline_weights(t)
    start = int(first[0])
    matrix = np.zeros((len(t), int(first[-1]) + 4 - start), np.float32)
    rows = np.arange(len(t))
    for k in range(4):
        matrix[rows, first - start + k] = weights[:, k]
    return start, matrix


# Both dates of a tile share their noise: a small cache halves the work.
@lru_cache(24)
def smooth_noise(window: Window, period: float, seed: int) -> np.ndarray:
    """Smooth noise of zero mean and unit variance over a window.

    Args:
        window: Where.
        period: Distance of the random nodes in metres.
        seed: Which noise.

    Returns:
        float32 (H, W), read-only.
    """
    x0, across = _spline_matrix(window.x / period)
    y0, down = _spline_matrix(window.y / period)
    columns = np.arange(across.shape[1]) + x0
    rows = np.arange(down.shape[1]) + y0
    nodes = place_hash(seed, rows[:, None], columns[None, :]) - 0.5
    nodes = (nodes / _SPLINE_STD).astype(np.float32)
    noise = down @ nodes @ across.T
    noise.setflags(write=False)
    return noise


@lru_cache(8)
def fractal_noise(window: Window, period: float, seed: int,
                  octaves: int = 3, gain: float = 0.5) -> np.ndarray:
    """Sum of octaves of :func:`smooth_noise`, unit variance, read-only."""
    total = np.zeros(window.shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        amplitude = gain**octave
        total += amplitude * smooth_noise.__wrapped__(
            window, period / 2**octave, seed + octave)
        power += amplitude**2
    total /= np.float32(np.sqrt(power))
    total.setflags(write=False)
    return total


def noise_at(x: np.ndarray, y: np.ndarray, period: float,
             seed: int) -> np.ndarray:
    """:func:`smooth_noise` at single points: x, y (n,) metres to (n,)."""
    x0, across = _spline_weights(np.atleast_1d(x) / period)
    y0, down = _spline_weights(np.atleast_1d(y) / period)
    steps = np.arange(4)
    nodes = place_hash(seed, (y0[:, None] + steps)[:, :, None],
                       (x0[:, None] + steps)[:, None, :]) - 0.5
    return np.einsum('ni,nij,nj->n', down, nodes, across) / _SPLINE_STD


def pixel_noise(window: Window, seed: int) -> np.ndarray:
    """White noise per pixel, uniform in [-0.5, 0.5), float32 (H, W)."""
    rows = np.arange(window.height) + window.row
    columns = np.arange(window.width) + window.column
    return (place_hash(seed, rows[:, None], columns[None, :])
            - 0.5).astype(np.float32)
