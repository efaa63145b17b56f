# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A class for each tile of a raster, with a classifier of mmpretrain."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.transform import Affine

from mmskysense.raster import (
    MapWriter,
    ProbabilityWriter,
    RasterReader,
    WindowSequence,
    WindowSource,
    check_output,
)
from mmskysense.raster.inputs import MapInputs
from mmskysense.raster.writer import NODATA
from mmskysense.registry import INFERENCERS

from .host_model import HostModel
from .map_inferencer import MapSummary
from .map_progress import MapProgress
from .raster_inferencer import RasterInferencer
from .window_batches import image_batches


def tiles_of(shape: Sequence[int], tile: tuple[int, int]) -> WindowSequence:
    """Tiles side by side from the upper left corner, the last ones padded.

    Args:
        shape: Height and width of the raster in pixels.
        tile: Height and width of a tile.
    """
    return WindowSequence(tuple(range(0, shape[0], tile[0])),
                          tuple(range(0, shape[1], tile[1])), tile)


def tile_transform(reader: RasterReader, tile: tuple[int, int]) -> Affine:
    """Affine of a raster that has one pixel a tile."""
    affine = reader.transform
    return Affine(affine.a * tile[1], affine.b * tile[0], affine.c,
                  affine.d * tile[1], affine.e * tile[0], affine.f)


@INFERENCERS.register_module()
class SceneInferencer(RasterInferencer):
    """Classifies tiles: a heat map with one pixel a tile.

    Arguments: see :class:`RasterInferencer`.
    """

    _built = ('model', )

    @cached_property
    def model(self) -> HostModel:
        """The model, built on first use."""
        return HostModel(self.cfg, self.checkpoint, 'classification',
                         self.device, self.amp)

    def predict_raster(self,
                       raster: str | os.PathLike | MapInputs,
                       out: str | os.PathLike,
                       window: int | tuple[int, int] | None = None,
                       batch_size: int = 16,
                       probabilities: str | os.PathLike | None = None,
                       min_measured: float = 0.5,
                       reading_threads: int = 1,
                       progress: bool = False,
                       **options: Any) -> MapSummary:
        """Write the class of each tile, and what speaks for each class.

        Args:
            raster: What :meth:`inputs` takes, or has returned.
            out: The map, one pixel a tile, see :class:`MapWriter`.
            window: Height and width (or side) of a tile in pixels; None
                takes the size the config tests with.
            batch_size: Tiles at once.
            probabilities: Also write a band of score for each class.
            min_measured: Tiles of which less was measured are nodata.
            reading_threads: Threads that read ahead.
            progress: Show a progress bar.
            **options: Of :meth:`inputs`.

        Raises:
            RasterContractError: The raster does not fit the sensor.
            ValueError: A bad argument, or a checkpoint that does not fit.
        """
        tile = self._window(window)
        reader = self.reader(raster, **options)
        for path in (out, probabilities):
            if path is not None:
                check_output(path, [reader.path])
        tiles = tiles_of(reader.shape, tile)
        shape = len(tiles.rows), len(tiles.columns)
        model = self.model
        names = model.class_names
        start = time.perf_counter()
        scores = np.zeros((len(names), len(tiles)), np.float32)
        known = np.zeros(len(tiles), dtype=bool)
        source = WindowSource(reader, tiles, self.contract.fill,
                              self.contract.reverse_channels)
        with MapProgress(Path(out).name, len(tiles),
                         reader.shape[0] * reader.shape[1],
                         not progress) as bar:
            for batch in image_batches(source, batch_size, reading_threads,
                                       bar.update):
                samples = model([w.image for w in batch],
                                [w.valid for w in batch])
                for picture, sample in zip(batch, samples, strict=True):
                    scores[:, picture.number] = \
                        sample.pred_score.float().cpu().numpy()
                    # Of the part that lies inside the raster.
                    inside = picture.valid[
                        :reader.shape[0] - picture.place.row,
                        :reader.shape[1] - picture.place.column]
                    known[picture.number] = inside.mean() >= min_measured
        soft = scores.reshape(-1, *shape)
        valid = known.reshape(shape)
        classes = np.where(valid, soft.argmax(0).astype(np.uint8),
                           np.uint8(NODATA))
        place = dict(crs=reader.crs, transform=tile_transform(reader, tile),
                     tags=dict(self._provenance, TILE=f'{tile[0]}x{tile[1]}',
                               SOURCE=Path(reader.path).name))
        with ExitStack() as stack:
            writer = stack.enter_context(
                MapWriter(out, *shape, names, model.palette, **place))
            if probabilities is not None:
                stack.enter_context(ProbabilityWriter(
                    probabilities, *shape, names, **place)).write(
                        0, ProbabilityWriter.encode(soft, valid))
            writer.write(0, classes)
        counts = np.bincount(classes.ravel(), minlength=NODATA + 1)
        return MapSummary(
            str(out), *shape, tuple(names),
            tuple(tuple(c) for c in model.palette),
            tuple(int(c) for c in counts[:len(names)]), int(counts[NODATA]),
            len(tiles), int((~known).sum()), time.perf_counter() - start)
