# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A picture of a raster beside its map."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from mmskysense.raster.reader import RasterReader

_UNMEASURED = (235, 235, 235)


def stretch(image: np.ndarray,
            valid: np.ndarray,
            percentiles: tuple[float, float] = (2, 98)) -> np.ndarray:
    """Scale each band for display, ignoring pixels without measurement.

    Args:
        image: (H, W, 3), any numbers.
        valid: bool (H, W), True where measured.
        percentiles: Values shown as 0 and as 255.

    Returns:
        uint8 (H, W, 3), light grey where not measured.
    """
    shown = np.empty((*valid.shape, 3), dtype=np.uint8)
    shown[:] = _UNMEASURED
    if valid.any():
        measured = image[valid].astype(np.float64)
        low, high = np.percentile(measured, percentiles, axis=0)
        span = np.where(high > low, high - low, 1.0)
        shown[valid] = np.clip(255 * (measured - low) / span, 0, 255)
    return shown


def _display_bands(reader: RasterReader) -> list[int]:
    """File's band numbers to show as red, green and blue."""
    indexes = list(reader.indexes)
    sensor = reader.sensor
    if sensor is not None and sensor.default_bands:
        return [indexes[sensor.band_index(b)] for b in sensor.default_bands]
    return indexes[:3] if len(indexes) >= 3 else indexes[:1] * 3


def save_quick_look(reader: RasterReader,
                    map_path: str | os.PathLike,
                    out: str | os.PathLike,
                    shares: Sequence[float] | None = None,
                    max_side: int = 1200) -> Path:
    """Save a PNG with the raster, its map and a legend.

    Reads decimated versions (overviews where there are any), so the size of
    the raster does not matter.

    Args:
        reader: The raster that was mapped.
        map_path: A map that :class:`MapWriter` wrote.
        out: The PNG to write; replaced when complete.
        shares: Share (0 to 1) of each class among measured pixels; None
            counts them in the decimated map.
        max_side: Longest side of each picture in pixels.

    Returns:
        Path of the PNG.

    Raises:
        OSError: The map cannot be read or the PNG cannot be written.
    """
    with rasterio.open(map_path) as dataset:
        factor = max(1.0, max(dataset.shape) / max_side)
        shape = tuple(max(1, round(side / factor)) for side in dataset.shape)
        classes = dataset.read(1, out_shape=shape)
        colours = dataset.colormap(1)
        tags = dataset.tags()
        nodata = int(dataset.nodata)
    names = [tags[f'CLASS_{i}'] for i in range(int(tags['NUM_CLASSES']))]
    valid = classes != nodata
    image = reader.dataset.read(
        _display_bands(reader), out_shape=(3, *shape),
        resampling=Resampling.average).transpose(1, 2, 0)
    shown = stretch(image, valid & np.isfinite(image).all(axis=-1))
    if shares is None:
        counts = np.bincount(classes[valid], minlength=len(names))
        shares = counts / max(counts.sum(), 1)
    table = np.array([colours[value][:3] for value in range(256)], np.uint8)
    table[nodata] = _UNMEASURED
    return _draw(Path(out), shown, table[classes], names,
                 [table[i] / 255 for i in range(len(names))], shares,
                 Path(map_path).name, Path(reader.path).name,
                 not valid.all())


def _draw(out: Path, image: np.ndarray, picture: np.ndarray,
          names: Sequence[str], colours: Sequence[np.ndarray],
          shares: Sequence[float], map_name: str, raster_name: str,
          has_nodata: bool) -> Path:
    # Not pyplot: no global state and no display is needed.
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    height, width = image.shape[:2]
    panel = (6.0 * min(1.0, width / height), 6.0 * min(1.0, height / width))
    panel = tuple(max(side, 1.5) for side in panel)
    figure = Figure(figsize=(2 * panel[0] + 3.0, panel[1] + 0.6), dpi=150,
                    layout='constrained')
    for axes, pixels, title in zip(
            figure.subplots(1, 2), (image, picture), (raster_name, map_name),
            strict=True):
        axes.imshow(pixels, interpolation='nearest')
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    order = sorted(range(len(names)), key=lambda i: -shares[i])[:20]
    handles = [
        Patch(facecolor=colours[i], edgecolor='0.4',
              label=f'{names[i]}  {100 * shares[i]:.1f} %') for i in order
    ]
    if len(names) > len(order):
        rest = 1 - sum(shares[i] for i in order)
        handles.append(
            Patch(alpha=0, label=f'{len(names) - len(order)} more classes  '
                  f'{100 * max(rest, 0):.1f} %'))
    if has_nodata:
        handles.append(
            Patch(facecolor=np.array(_UNMEASURED) / 255, edgecolor='0.4',
                  label='nodata'))
    figure.legend(handles=handles, loc='outside right upper', fontsize=8,
                  frameon=False)
    descriptor, aside = tempfile.mkstemp(
        prefix=f'.{out.name}.partial-', dir=out.parent)
    try:
        with os.fdopen(descriptor, 'wb') as file:
            figure.savefig(file, format='png')
        os.chmod(aside, 0o644)
        os.replace(aside, out)
    except BaseException:
        os.unlink(aside)
        raise
    return out
