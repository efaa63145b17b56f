# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A georeferenced map from a raster of any size."""

from __future__ import annotations

import os
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.raster import (
    PartialRows,
    RasterReader,
    StreamingBlender,
    WindowGrid,
    blend_weights,
)
from mmskysense.raster.inputs import MapInputs, SeriesReader
from mmskysense.raster.open_files import file_signature
from mmskysense.raster.writer import BLOCK, NODATA
from mmskysense.registry import INFERENCERS
from mmskysense.version import __version__

from .batch_size import fitting_batch_size
from .map_outputs import MapOutputs
from .map_processes import run_regions
from .map_progress import MapProgress
from .map_run import MapJob
from .raster_inferencer import RasterInferencer
from .segmentor import WindowSegmentor
from .window_scorer import WindowScorer

# Of an output at once, from its unfinished rows to its file (ours).
_PIECE_BYTES = 8 << 20


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
class MapInferencer(RasterInferencer):
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

    _built = ('segmentor', )

    @cached_property
    def segmentor(self) -> WindowSegmentor:
        """The model, built on first use."""
        return WindowSegmentor(self.cfg, self.checkpoint, self.device,
                               self.amp)

    def predict_raster(self,
                       raster: str | os.PathLike | MapInputs,
                       out: str | os.PathLike,
                       window: int | tuple[int, int] | None = None,
                       overlap: float = 0.5,
                       batch_size: int | str = 4,
                       blend: str = 'hann',
                       probabilities: str | os.PathLike | None = None,
                       uncertainty: str | os.PathLike | None = None,
                       measure: str = 'entropy',
                       flips: bool = False,
                       resume: bool = False,
                       processes: int = 1,
                       reading_threads: int = 1,
                       max_memory: int = 1 << 27,
                       progress: bool = False,
                       probability_type: str = 'uint8',
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
            batch_size: Windows at once, or ``'auto'``: what is about as fast
                as any larger one, measured.
            blend: Weights of overlapping windows, see
                :func:`blend_weights`.
            probabilities: Also write the classes' probabilities here.
            uncertainty: Also write the uncertainty here, 0 to 1.
            measure: Kind of uncertainty, see :data:`UNCERTAINTIES`;
                ``'variance'`` needs ``flips``.
            flips: Mean over four flipped views of each window.
            resume: Go on with what a killed run of the same settings has
                left beside ``out``, and leave what there is if this one ends
                early. The result has the same bytes as without a break.
            processes: Processes, each with the model; on several GPUs with
                the device ``'cuda'``.
            reading_threads: Threads that read ahead in each process.
            max_memory: Bytes for blending in each process. A raster too wide
                for it is made in strips.
            progress: Show a progress bar.
            probability_type: ``'uint8'``, or ``'uint16'`` for finer steps.
            **options: Of :meth:`inputs`.

        Returns:
            Counts, shares, and time.

        Raises:
            RasterContractError: The raster does not fit the sensor.
            ValueError: A bad argument, a checkpoint that does not fit, or
                an unfinished run of other settings.
            OSError: An output that cannot be written.
        """
        grid_window = self._window(window)
        if not 0 <= overlap < 1:
            raise ValueError(f'overlap={overlap}: expected a share of the '
                             'window, from 0 to below 1')
        if batch_size != 'auto' and (isinstance(batch_size, str)
                                     or batch_size < 1):
            raise ValueError(f"batch_size={batch_size}: expected 1 or more, "
                             "or 'auto'")
        if processes < 1 or reading_threads < 0:
            raise ValueError(
                f'processes={processes}, reading_threads={reading_threads}: '
                'expected at least 1 process and 0 threads')
        blend_weights(blend, (1, 1))  # refuses an unknown name
        outputs = MapOutputs(
            Path(out),
            None if probabilities is None else Path(probabilities),
            None if uncertainty is None else Path(uncertainty), measure,
            probability_type)
        variance = uncertainty is not None and measure == 'variance'
        if variance and not flips:
            raise ValueError("measure='variance' is that over flipped views: "
                             "set flips=True, or take 'entropy'")
        if not isinstance(raster, str | os.PathLike | MapInputs):
            raster, options = self.inputs(raster, **options), {}
        outputs.check([raster] if not isinstance(raster, MapInputs) else [
            band.path for images in raster.images.values()
            for image in images for band in image.bands])
        reader = self.reader(raster, **options)
        height, width = reader.shape
        grid = self._grid(reader, grid_window, overlap)
        if batch_size == 'auto' and isinstance(reader, SeriesReader):
            raise ValueError("batch_size='auto' is for one sensor; give a "
                             'number for several')

        scorer = self.scorer(flips, variance)
        start = time.perf_counter()
        settings = dict(
            self._provenance,
            inputs=_identity(raster, reader),
            size=[height, width], crs=str(reader.crs),
            transform=list(reader.transform)[:6],
            window=list(grid_window), overlap=list(grid.overlap), blend=blend,
            outputs=sorted(outputs.paths), measure=measure, flips=flips,
            probability_type=probability_type,
            processes=processes, max_memory=max_memory,
            device=self.device.partition(':')[0], amp=self.amp,
            version=__version__)
        partial = PartialRows(
            out, outputs.bands(len(scorer.segmentor.class_names)), height,
            width, settings, resume, outputs.dtypes)
        outputs.remove_leftovers()
        try:
            job = MapJob(
                reader, grid, outputs, partial,
                self._batch_size(partial, batch_size, scorer, grid, reader),
                blend, self.contract.fill, self.contract.reverse_channels,
                reading_threads)
            strips = -(-StreamingBlender.memory(grid, scorer.num_channels)
                       // max(max_memory, 1))
            regions = grid.regions(processes, strips)
            number = sum(len(grid.touching(region)) for region in regions)
            with MapProgress(outputs.map.name, number, height * width,
                             not progress) as bar:
                skipped = run_regions(
                    self, job, regions, dict(flips=flips, variance=variance),
                    processes, bar.update)
            counts = self._complete(partial, outputs, reader, dict(
                self._provenance,
                SOURCE=Path(reader.path).name,
                WINDOW=f'{grid_window[0]}x{grid_window[1]}',
                OVERLAP=overlap,
                BLEND=blend))
        except BaseException:
            if resume:
                partial.close()
            else:
                partial.discard()
            raise
        partial.discard()
        if not counts[:NODATA].any():
            warnings.warn(
                f'{reader.path}: no pixel was measured, so the whole map '
                f'{out} is nodata; check the nodata value and the bands',
                stacklevel=2)
        names = self.segmentor.class_names
        return MapSummary(
            str(out), height, width, tuple(names),
            tuple(tuple(c) for c in self.segmentor.palette),
            tuple(int(c) for c in counts[:len(names)]), int(counts[NODATA]),
            number, skipped, time.perf_counter() - start)

    def _grid(self, reader: Any, window: tuple[int, int],
              overlap: float) -> WindowGrid:
        """Windows of a raster."""
        height, width = reader.shape
        return WindowGrid(
            height, width, window,
            (int(overlap * window[0]), int(overlap * window[1])))

    def scorer(self, flips: bool = False,
               variance: bool = False) -> WindowScorer:
        """The model as a function of windows."""
        return WindowScorer(self.segmentor, flips, variance)

    def _batch_size(self, partial: PartialRows, wanted: int | str,
                    scorer: WindowScorer, grid: WindowGrid,
                    reader: RasterReader | SeriesReader) -> int:
        """Of a run that goes on, what it began with: bytes depend on it."""
        known = partial.progress(grid.whole, 'batch_size')
        if known:
            return int(known['batch_size'])
        size = fitting_batch_size(
            scorer, len(reader.indexes), grid.window, len(grid)) \
            if wanted == 'auto' else int(wanted)
        partial.note(grid.whole, 'batch_size', batch_size=size)
        return size

    def _complete(self, partial: PartialRows, outputs: MapOutputs,
                  reader: RasterReader | SeriesReader,
                  tags: dict[str, Any]) -> np.ndarray:
        """Write the files; pixels of each value of the map, int64 (256,)."""
        counts = np.zeros(NODATA + 1, dtype=np.int64)
        writers = outputs.writers(
            partial.height, partial.width, self.segmentor, tags,
            dict(crs=reader.crs, transform=reader.transform))
        with ExitStack() as stack:
            # The map is entered first and so gets its name last: where it
            # is, the others are too.
            opened = {name: stack.enter_context(make())
                      for name, make in writers.items()}
            for row in range(0, partial.height, BLOCK):
                for name, writer in opened.items():
                    # Memory must not grow with the width of the raster.
                    columns = BLOCK * max(1, _PIECE_BYTES // (
                        BLOCK * BLOCK * partial.bands[name] *
                        partial.dtypes[name].itemsize))
                    for left in range(0, partial.width, columns):
                        pixels = partial.read(name, row, BLOCK, left, columns)
                        writer.write(row, pixels, left)
                        if name == 'map':
                            counts += np.bincount(pixels.ravel(),
                                                  minlength=NODATA + 1)
        return counts


def _identity(raster: str | os.PathLike | MapInputs,
              reader: RasterReader | SeriesReader) -> list[Any]:
    """What tells one input from another, and from its earlier content."""
    if not isinstance(raster, MapInputs):
        return [list(file_signature(reader.path)), reader.scale,
                reader.offset, reader.nodata, list(reader.indexes)]
    images = [image for series in raster.images.values() for image in series]
    values = [[i.scale, i.offset, i.nodata] for i in images]
    bands = [[list(file_signature(band.path)), band.index]
             for image in images for band in image.bands]
    masks = [[list(file_signature(image.mask.source.path)),
              list(image.mask.hidden)]
             for image in images if image.mask is not None]
    return [bands, values, masks,
            str(raster.area and raster.area.geometry.wkt)]
