# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Features of a raster of any size: a map of them, or one row a tile."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rasterio.transform import Affine

from mmskysense.evaluation.probing import build_encoder
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor
from mmskysense.raster import (
    GridWindow,
    RasterReader,
    SourceWindow,
    StreamingBlender,
    WindowGrid,
    WindowSource,
    check_output,
    read_ahead,
)
from mmskysense.raster.feature_writer import FeatureWriter
from mmskysense.raster.inputs import MapInputs
from mmskysense.raster.vectors import to_map
from mmskysense.registry import INFERENCERS

from .map_progress import MapProgress
from .raster_inferencer import RasterInferencer
from .scene_inferencer import tiles_of
from .window_batches import image_batches

# Places whose features give the principal components (ours).
_SAMPLE = 20_000


@dataclass(frozen=True)
class EmbeddingSummary:
    """What was written.

    Args:
        path: The file.
        channels: Features, or principal components, of a place or a tile.
        places: Places of the map (height, width), or (tiles, ).
        explained: Share of the variance that the components hold; None for
            full features.
        seconds: Wall time, without building the encoder.
    """

    path: str
    channels: int
    places: tuple[int, ...]
    explained: float | None
    seconds: float


@INFERENCERS.register_module()
class EmbeddingInferencer(RasterInferencer):
    """Features of an encoder, out of any config that has one.

    Args:
        features: ``'last'`` or ``'stages'``, see :class:`FeatureEncoder`.
        **kwargs: See :class:`RasterInferencer`.
    """

    _built = ('encoder', )

    def __init__(self, *args: Any, features: str = 'last',
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.features = features

    @cached_property
    def encoder(self) -> tuple[Any, MultiSensorDataPreprocessor]:
        """Encoder and preprocessor, built on first use."""
        encoder, preprocessor = build_encoder(
            self.cfg, self.checkpoint, features=self.features,
            sensor=self.contract.sensor)
        return encoder.to(self.device), preprocessor.to(self.device)

    def maps(self, images: Sequence[np.ndarray],
             valid: Sequence[np.ndarray]) -> torch.Tensor:
        """Feature maps of windows.

        Args:
            images: N of float32 (C, H, W) in file units.
            valid: N of bool (H, W).

        Returns:
            float32 (N, D, h, w), on the CPU.
        """
        # Built outside of inference mode, in which weights are not tracked.
        encoder, preprocessor = self.encoder
        with torch.inference_mode(), torch.autocast(
                torch.device(self.device).type, torch.bfloat16,
                enabled=self.amp):
            batch = torch.from_numpy(np.stack(images)).to(self.device)
            mask = torch.from_numpy(np.stack(valid)).to(self.device)
            batch = preprocessor.normalize(batch, preprocessor.sensor, mask)
            return encoder.dense(batch).float().cpu()

    def embed_raster(self,
                     raster: str | os.PathLike | MapInputs,
                     out: str | os.PathLike,
                     window: int | None = None,
                     overlap: float = 0.5,
                     batch_size: int = 4,
                     components: int | None = 3,
                     dtype: str = 'float32',
                     reading_threads: int = 1,
                     progress: bool = False,
                     **options: Any) -> EmbeddingSummary:
        """Write a map of features (``.tif``) or one row a tile (``.parquet``).

        Args:
            raster: What :meth:`inputs` takes, or has returned.
            out: A GeoTIFF at the encoder's stride, a band each component or
                feature; or GeoParquet, with the tile's polygon, its mean
                feature, the share that was measured, sensor and date.
            window: Side of a window, or of a tile, in pixels; a multiple of
                the stride for maps. None takes the size of the config.
            overlap: Share of a window of a map that its neighbour sees too.
                The encoder attends over a whole window, so features depend
                on what else is in it: a large overlap hides the borders.
            batch_size: Windows at once.
            components: Principal components of a map; None writes all
                features.
            dtype: Of a map, ``'float32'`` or ``'float16'``.
            reading_threads: Threads that read ahead.
            progress: Show a progress bar.
            **options: Of :meth:`inputs`.

        Raises:
            RasterContractError: The raster does not fit the sensor.
            ValueError: A bad argument, or a checkpoint that does not fit.
            ImportError: GeoParquet without geopandas or pyarrow.
        """
        suffix = Path(out).suffix.lower()
        if suffix not in ('.tif', '.tiff', '.parquet'):
            raise ValueError(f'{out}: expected a name that ends with .tif or '
                             f'.parquet, found {suffix or "none"}')
        if dtype not in ('float32', 'float16'):
            raise ValueError(f"dtype='{dtype}': expected 'float32' or "
                             "'float16'")
        if not 0 <= overlap < 1 or (components is not None
                                    and components < 1):
            raise ValueError(f'overlap={overlap}, components={components}: '
                             'expected a share below 1 and at least 1 '
                             'component')
        reader = self.reader(raster, **options)
        check_output(out, [reader.path])
        side = self._window(window)[0]
        if suffix == '.parquet':
            days = None if not isinstance(raster, MapInputs) else next(
                (image.date for images in raster.images.values()
                 for image in images), None)
            return self._tiles(reader, Path(out), side, batch_size, days,
                               reading_threads, progress)
        return self._map(reader, Path(out), side, overlap, batch_size,
                         components, dtype, reading_threads, progress)

    def _source(self, reader: RasterReader,
                windows: Sequence[GridWindow]) -> WindowSource:
        return WindowSource(reader, windows, self.contract.fill,
                            self.contract.reverse_channels)

    def _stride(self, bands: int, side: int) -> int:
        """Pixels of a place, found by looking."""
        blank = np.zeros((bands, side, side), np.float32)
        places = self.maps([blank], [np.ones((side, side), bool)]).shape[-1]
        if side % places:
            raise ValueError(
                f'window={side}: expected a multiple of the stride of the '
                f'features (about {side / places:.3g} pixels), so that '
                'windows meet; choose a power of two')
        return side // places

    def _map(self, reader: RasterReader, out: Path, side: int,
             overlap: float, batch_size: int, components: int | None,
             dtype: str, reading_threads: int,
             progress: bool) -> EmbeddingSummary:
        stride = self._stride(len(reader.indexes), side)
        height, width = (-(-length // stride) for length in reader.shape)
        places = side // stride
        lap = int(overlap * places)
        # The grid of places; a window of it is `stride` times as many pixels.
        grid = WindowGrid(height, width, (places, places), (lap, lap))
        windows = [GridWindow(w.row * stride, w.column * stride, side, side)
                   for w in grid]
        source = self._source(reader, windows)
        start = time.perf_counter()
        projection = _Projection.fit(self, source, components, batch_size)
        blender = StreamingBlender(grid, projection.channels)
        affine = reader.transform
        with MapProgress(out.name, len(windows),
                         reader.shape[0] * reader.shape[1],
                         not progress) as bar, FeatureWriter(
                             out, height, width, projection.names, dtype,
                             reader.crs,
                             Affine(affine.a * stride, affine.b * stride,
                                    affine.c, affine.d * stride,
                                    affine.e * stride, affine.f),
                             dict(self._provenance, STRIDE=stride,
                                  SENSOR=self.contract.sensor,
                                  SOURCE=Path(reader.path).name)) as writer:
            for window, scores in self._scored(source, projection,
                                               batch_size, reading_threads):
                place = GridWindow(window.place.row // stride,
                                   window.place.column // stride, places,
                                   places)
                seen = window.valid.reshape(
                    places, stride, places, stride).any((1, 3))
                for rows in blender.add(place, scores, seen):
                    writer.write_features(rows.row, rows.scores,
                                          rows.valid)
                bar.update(1)
            for rows in blender.finish():
                writer.write_features(rows.row, rows.scores,
                                          rows.valid)
        return EmbeddingSummary(str(out), projection.channels,
                                (height, width), projection.explained,
                                time.perf_counter() - start)

    def _scored(self, source: WindowSource, projection: _Projection,
                batch_size: int, reading_threads: int) -> Any:
        """Windows in order, with projected features or None."""
        waiting: list[SourceWindow] = []

        def flush() -> Any:
            some = [w for w in waiting if w.image is not None]
            found: Any = iter(())
            if some:
                found = iter(projection(self.maps(
                    [w.image for w in some if w.image is not None],
                    [w.valid for w in some])))
            for window in waiting:
                yield window, None if window.image is None else next(found)

        for window in read_ahead(source, 0, 2 * batch_size + 2,
                                 reading_threads):
            waiting.append(window)
            if len(waiting) == batch_size:
                yield from flush()
                waiting.clear()
        yield from flush()

    def _tiles(self, reader: RasterReader, out: Path, side: int,
               batch_size: int, day: Any, reading_threads: int,
               progress: bool) -> EmbeddingSummary:
        geopandas, shapely = _table_libraries()
        tiles = tiles_of(reader.shape, (side, side))
        start = time.perf_counter()
        rows: list[dict[str, Any]] = []
        with MapProgress(out.name, len(tiles),
                         reader.shape[0] * reader.shape[1],
                         not progress) as bar:
            for batch in image_batches(self._source(reader, tiles),
                                       batch_size, reading_threads,
                                       bar.update):
                maps = self.maps([w.image for w in batch],
                                 [w.valid for w in batch])
                seen = torch.nn.functional.adaptive_avg_pool2d(
                    torch.from_numpy(np.stack([w.valid for w in batch]))
                    [:, None].float(), maps.shape[-2:]) > 0
                weight = seen.float()
                means = (maps * weight).sum((2, 3)) / weight.sum((2, 3))
                for picture, mean in zip(batch, means, strict=True):
                    place = picture.place
                    bottom = min(place.row + side, reader.shape[0])
                    right = min(place.column + side, reader.shape[1])
                    ring = np.array([
                        (place.column, place.row), (right, place.row),
                        (right, bottom), (place.column, bottom)], float)
                    rows.append(dict(
                        geometry=shapely.Polygon(
                            to_map(ring, reader.transform)),
                        row=place.row, column=place.column,
                        measured=float(picture.valid[
                            :bottom - place.row,
                            :right - place.column].mean()),
                        sensor=self.contract.sensor,
                        date=None if day is None else str(day),
                        embedding=mean.numpy()))
        frame = geopandas.GeoDataFrame(
            rows, columns=['geometry', 'row', 'column', 'measured', 'sensor',
                           'date', 'embedding'],
            geometry='geometry', crs=reader.crs)
        with tempfile.TemporaryDirectory(
                prefix=f'.{out.name}.partial-', dir=out.parent) as folder:
            aside = Path(folder) / out.name
            frame.to_parquet(aside)
            os.replace(aside, out)
        channels = len(rows[0]['embedding']) if rows else 0
        return EmbeddingSummary(str(out), channels, (len(rows), ), None,
                                time.perf_counter() - start)


class _Projection:
    """Principal components of features, or the features themselves."""

    def __init__(self, mean: torch.Tensor, axes: torch.Tensor | None,
                 explained: float | None) -> None:
        self.mean, self.axes, self.explained = mean, axes, explained

    @classmethod
    def fit(cls, inferencer: EmbeddingInferencer, source: WindowSource,
            components: int | None, batch_size: int) -> _Projection:
        """From windows spread evenly over the raster, few enough to hold."""
        found: list[torch.Tensor] = []
        number = 0
        chosen = np.unique(np.linspace(0, len(source) - 1, 24).astype(int))
        for index in np.random.default_rng(0).permutation(chosen):
            window = source[int(index)]
            if window.image is None:
                continue
            maps = inferencer.maps([window.image], [window.valid])
            seen = torch.nn.functional.adaptive_max_pool2d(
                torch.from_numpy(window.valid)[None].float(),
                maps.shape[-2:])[0] > 0
            found.append(maps[0][:, seen].T)
            number += len(found[-1])
            if components is None or number >= _SAMPLE:
                break
        if not found:
            raise ValueError(f'{source.reader.path}: expected a measured '
                             'pixel, found only nodata; check the nodata '
                             'value and the area')
        features = torch.cat(found).double()
        mean = features.mean(0)
        if components is None:
            return cls(torch.zeros_like(mean).float(), None, None)
        if components > features.shape[1]:
            raise ValueError(f'components={components}: the encoder has '
                             f'{features.shape[1]} features')
        if len(features) < 2:
            # One place has nothing to differ from.
            return cls(mean.float(),
                       torch.eye(len(mean))[:, :components], 0.0)
        values, vectors = torch.linalg.eigh((features - mean).T.cov())
        order = values.argsort(descending=True)[:components]
        axes = vectors[:, order]
        # A sign is free: the largest weight of each is positive.
        largest = axes.abs().argmax(0)
        axes = axes * axes.gather(0, largest[None]).sign()
        explained = float(values[order].sum() / values.sum().clamp(min=1e-12))
        return cls(mean.float(), axes.float(), explained)

    @property
    def channels(self) -> int:
        """Bands of the map."""
        return len(self.mean) if self.axes is None else self.axes.shape[1]

    @property
    def names(self) -> list[str]:
        """Of the bands."""
        kind = 'feature' if self.axes is None else 'component'
        return [f'{kind} {n}' for n in range(self.channels)]

    def __call__(self, maps: torch.Tensor) -> np.ndarray:
        """(N, D, h, w) to float32 (N, channels, h, w)."""
        if self.axes is None:
            return maps.numpy()
        centred = maps - self.mean[:, None, None]
        return torch.einsum('ndhw,dc->nchw', centred, self.axes).numpy()


def _table_libraries() -> tuple[Any, Any]:
    try:
        importlib.import_module('pyarrow')
        return (importlib.import_module('geopandas'),
                importlib.import_module('shapely'))
    except ImportError as error:
        raise ImportError(
            f"'{error.name}' is not installed but is needed for GeoParquet: "
            'run `pip install geopandas pyarrow -c '
            'requirements/constraints.txt`') from error
