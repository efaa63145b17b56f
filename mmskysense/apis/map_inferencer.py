# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A georeferenced map from a raster of any size."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.device import get_device
from tqdm import tqdm

from mmskysense.raster import (
    BlendedRows,
    MapWriter,
    ProbabilityWriter,
    RasterContractError,
    RasterReader,
    SourceWindow,
    StreamingBlender,
    WindowGrid,
    WindowSource,
    blend_weights,
    check_output,
)
from mmskysense.raster.inputs import MapInputs, gather_inputs, get_reader
from mmskysense.raster.writer import NODATA
from mmskysense.registry import INFERENCERS
from mmskysense.utils import check_file

from .segmentor import WindowSegmentor, default_window, input_contract


@dataclass(frozen=True)
class MapSummary:
    """What a finished map holds.

    Args:
        path: The map.
        height: Rows in pixels.
        width: Columns in pixels.
        class_names: Name of class 0, 1, ...
        palette: Red, green and blue (0 to 255) of each class.
        pixel_counts: Pixels of each class.
        nodata_pixels: Pixels without a measurement.
        windows: Windows of the grid.
        skipped_windows: Windows without a measured pixel, which the model
            never saw.
        seconds: Wall time, without building the model.
    """

    path: str
    height: int
    width: int
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    pixel_counts: tuple[int, ...]
    nodata_pixels: int
    windows: int
    skipped_windows: int
    seconds: float

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each class among the measured pixels, 0 to 1."""
        total = max(sum(self.pixel_counts), 1)
        return tuple(count / total for count in self.pixel_counts)


@INFERENCERS.register_module()
class MapInferencer:
    """Makes maps with a segmentor of mmseg, stock or with our encoder.

    The model is built when it is first needed, so that a bad raster or
    output path is refused before that.

    Args:
        config: Config file, or a loaded config.
        checkpoint: Checkpoint file, which must fit the model exactly.
        device: Such as ``'cpu'`` or ``'cuda:0'``; None takes what is there.
        sensor: Which sensor's rasters; None asks the config.
        amp: Run the network in bfloat16.
        cfg_options: Overrides of the config.

    Raises:
        FileNotFoundError: The config or the checkpoint is missing.
        ValueError: The config takes several sensors at once.

    Example::

        inferencer = MapInferencer('config.py', 'checkpoint.pth')
        summary = inferencer.predict_raster('scene.tif', 'map.tif')
        print(dict(zip(summary.class_names, summary.shares)))
    """

    def __init__(self,
                 config: str | os.PathLike | Config,
                 checkpoint: str | os.PathLike,
                 device: str | None = None,
                 sensor: str | None = None,
                 amp: bool = False,
                 cfg_options: dict | None = None) -> None:
        self.checkpoint = os.fspath(checkpoint)
        if not isinstance(config, Config):
            check_file(os.fspath(config), 'config', 'the configs are in '
                       'configs/')
            config = Config.fromfile(config)
        check_file(self.checkpoint, 'checkpoint',
                   'give a .pth file that tools/train.py wrote')
        if cfg_options:
            config.merge_from_dict(cfg_options)
        if 'model' not in config:
            raise ValueError(f'config {config.filename}: expected a model, '
                             'found none; give a segmentation config')
        self.cfg = config
        self.device = device or get_device()
        self.amp = amp
        self.contract = input_contract(config, sensor)

    @cached_property
    def segmentor(self) -> WindowSegmentor:
        """The model, built on first use."""
        return WindowSegmentor(self.cfg, self.checkpoint, self.device,
                               self.amp)

    @cached_property
    def _provenance(self) -> dict[str, str]:
        """Tags that say where a map comes from."""
        tags = {'CHECKPOINT': Path(self.checkpoint).name}
        if self.cfg.filename:
            tags['CONFIG'] = Path(self.cfg.filename).name
        if Path(self.checkpoint).is_file():
            digest = hashlib.sha256()
            with open(self.checkpoint, 'rb') as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            tags['CHECKPOINT_SHA256'] = digest.hexdigest()
        return tags

    def inputs(self, raster: str | os.PathLike, **options: Any) -> MapInputs:
        """Open whatever people have, as the config's own loader would.

        Args:
            raster: File, folder, Sentinel-2 product, STAC item or address.
            **options: Of :func:`gather_inputs`: ``dates``, ``area``,
                ``like``, ``bands``, ...; None leaves an option to the config.

        Raises:
            RasterContractError: Nothing that can be read as the sensor.
        """
        given = {
            name: value
            for name, value in options.items() if value is not None
        }
        return gather_inputs({self.contract.sensor: os.fspath(raster)},
                             **{**self.contract.options, **given})

    def reader(self, raster: str | os.PathLike | MapInputs,
               **options: Any) -> RasterReader:
        """A reader of a raster in the order and unit of the sensor.

        Args:
            raster: What :meth:`inputs` takes, or has returned.
            **options: Of :meth:`inputs`.

        Raises:
            RasterContractError: The raster does not fit the sensor, or
                there are several acquisitions.
        """
        if not isinstance(raster, MapInputs):
            raster = self.inputs(raster, **options)
        images = raster.images[self.contract.sensor]
        if len(images) != 1:
            days = ', '.join(str(i.date or i.label) for i in images[:6])
            raise RasterContractError(
                f'{images[0].label}: the config maps one acquisition, found '
                f'{len(images)} ({days}); narrow them with dates=, or name '
                'one')
        reader = get_reader(images[0], raster.grid, raster.area)
        expected = len(self.contract.fill)
        if expected and len(reader.check_contract().indexes) != expected:
            raise ValueError(
                f'{reader.path}: expected {expected} bands, found '
                f'{len(reader.indexes)}; choose them with bands=')
        return reader

    def predict_raster(self,
                       raster: str | os.PathLike | MapInputs,
                       out: str | os.PathLike,
                       window: int | tuple[int, int] | None = None,
                       overlap: float = 0.5,
                       batch_size: int = 4,
                       blend: str = 'hann',
                       probabilities: str | os.PathLike | None = None,
                       progress: bool = False,
                       **options: Any) -> MapSummary:
        """Write the map of a raster.

        Args:
            raster: What :meth:`inputs` takes, or has returned.
            out: The map to write, see :class:`MapWriter`. An existing file
                is replaced when the new one is complete.
            window: Height and width (or side) of what the model sees at
                once, in pixels; None takes the size the config tests with.
            overlap: Share of a window that its neighbour sees too, from 0
                to below 1.
            batch_size: Windows at once.
            blend: Weights of overlapping windows, see
                :func:`blend_weights`.
            probabilities: Also write the classes' probabilities here.
            progress: Show a progress bar.
            **options: Of :meth:`inputs`.

        Returns:
            Counts, shares, and time.

        Raises:
            RasterContractError: The raster does not fit the sensor.
            ValueError: A bad argument, or a checkpoint that does not fit.
            OSError: An output that cannot be written.
        """
        grid_window = self._window(window)
        if not 0 <= overlap < 1:
            raise ValueError(f'overlap={overlap}: expected a share of the '
                             'window, from 0 to below 1')
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size}: expected 1 or more')
        blend_weights(blend, (1, 1))  # refuses an unknown name
        sources = [raster] if not isinstance(raster, MapInputs) else [
            band.path for images in raster.images.values()
            for image in images for band in image.bands]
        check_output(out, sources)
        if probabilities is not None:
            check_output(probabilities, sources)
            if Path(probabilities).resolve() == Path(out).resolve():
                raise ValueError(f'{out}: the map and the probabilities need '
                                 'different names')
        reader = self.reader(raster, **options)
        height, width = reader.shape
        grid = WindowGrid(
            height, width, grid_window,
            (int(overlap * grid_window[0]), int(overlap * grid_window[1])))

        segmentor = self.segmentor
        start = time.perf_counter()
        names = segmentor.class_names
        georeference: dict[str, Any] = dict(
            crs=reader.crs, transform=reader.transform)
        tags = dict(
            self._provenance,
            SOURCE=Path(reader.path).name,
            WINDOW=f'{grid_window[0]}x{grid_window[1]}',
            OVERLAP=overlap,
            BLEND=blend)
        counts = np.zeros(NODATA + 1, dtype=np.int64)
        with ExitStack() as stack:
            writer = stack.enter_context(
                MapWriter(out, height, width, names, segmentor.palette,
                          tags=tags, **georeference))
            soft = None
            if probabilities is not None:
                soft = stack.enter_context(
                    ProbabilityWriter(probabilities, height, width, names,
                                      tags=tags, **georeference))
            windows = WindowSource(reader, grid, self.contract.fill,
                                   self.contract.reverse_channels)
            bar = stack.enter_context(
                tqdm(windows, unit='window',
                     desc=Path(out).name, disable=not progress))
            for rows in self._blended(bar, grid, batch_size, blend):
                classes = np.where(rows.valid, segmentor.classify(rows.scores),
                                   np.uint8(NODATA))
                writer.write(rows.row, classes)
                counts += np.bincount(classes.ravel(), minlength=NODATA + 1)
                if soft is not None:
                    soft.write(
                        rows.row,
                        ProbabilityWriter.encode(
                            segmentor.probabilities(rows.scores), rows.valid))
        if not counts[:NODATA].any():
            warnings.warn(
                f'{reader.path}: no pixel was measured, so the whole map '
                f'{out} is nodata; check the nodata value and the bands',
                stacklevel=2)
        return MapSummary(
            str(out), height, width, tuple(names),
            tuple(tuple(c) for c in segmentor.palette),
            tuple(int(c) for c in counts[:len(names)]), int(counts[NODATA]),
            len(grid), windows.skipped,
            time.perf_counter() - start)

    def _window(self, window: int | tuple[int, int] | None) -> tuple[int, int]:
        if window is None:
            return default_window(self.cfg)
        height, width = (window, window) if isinstance(window, int) else window
        if height < 1 or width < 1:
            raise ValueError(f'window={window}: expected at least 1 pixel')
        return height, width

    def _blended(self, windows: Iterable[SourceWindow], grid: WindowGrid,
                 batch_size: int, blend: str) -> Iterator[BlendedRows]:
        """Score the windows in batches and blend them in their order."""
        blender = StreamingBlender(grid, self.segmentor.num_channels, blend)
        waiting: list[SourceWindow] = []
        pictures = 0
        for window in windows:
            waiting.append(window)
            pictures += window.image is not None
            # Windows without a picture wait too, for the order, but only
            # as long as one with a picture does, and not without limit.
            if pictures in (0, batch_size) or len(waiting) > 4 * batch_size:
                yield from self._add(blender, waiting)
                waiting, pictures = [], 0
        yield from self._add(blender, waiting)
        yield from blender.finish()

    def _add(self, blender: StreamingBlender,
             waiting: Sequence[SourceWindow]) -> Iterator[BlendedRows]:
        images = [w.image for w in waiting if w.image is not None]
        scores: Iterator[np.ndarray] = iter(())
        if images:
            scores = iter(
                self.segmentor(
                    images,
                    [w.valid for w in waiting if w.image is not None]))
        for window in waiting:
            score = None if window.image is None else next(scores)
            yield from blender.add(window.place, score, window.valid)
