# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Makes the rows of a map, region by region, in a way that can go on later.

The rows are the same, byte for byte, whether a run was interrupted or not:
after an interruption it starts again with the first batch of windows of
which a row was missing, so that batches are made of the same windows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmskysense.raster import (
    BlendedRows,
    GridWindow,
    PartialRows,
    RasterReader,
    Region,
    SourceWindow,
    StreamingBlender,
    WindowGrid,
    WindowSource,
    read_ahead,
)
from mmskysense.raster.inputs import SeriesReader
from mmskysense.raster.window_source import Windows

from .map_outputs import MapOutputs
from .window_scorer import WindowScorer


@dataclass(frozen=True)
class MapJob:
    """Everything that the rows of a map are made from, but the model.

    Args:
        reader: The raster, or those of several sensors.
        grid: Its windows; it may reach beyond the map.
        outputs: What is written.
        partial: Where rows are kept.
        batch_size: Windows at once.
        blend: Weights of overlapping windows.
        fill: Value per band of pixels that were not measured.
        reverse_channels: Bands in reverse order.
        reading_threads: Threads that read ahead.
    """

    reader: RasterReader | SeriesReader
    grid: WindowGrid
    outputs: MapOutputs
    partial: PartialRows
    batch_size: int
    blend: str = 'hann'
    fill: tuple[float, ...] = ()
    reverse_channels: bool = False
    reading_threads: int = 1

    def source(self, windows: Sequence[GridWindow]) -> Windows:
        """Windows by number."""
        if isinstance(self.reader, SeriesReader):
            return self.reader.source(windows)
        return WindowSource(self.reader, windows, self.fill,
                            self.reverse_channels)


class RegionRun:
    """The rows of one region.

    Args:
        job: Of the whole map.
        region: Which part.
        scorer: The model.
        tell: Called with the number of windows that are done since the last
            call.
    """

    def __init__(self, job: MapJob, region: Region, scorer: WindowScorer,
                 tell: Callable[[int], object] = lambda count: None) -> None:
        self.job, self.region, self.scorer = job, region, scorer
        self.tell = tell
        known = job.partial.progress(region)
        self.done: int = known.get('done', region.top)
        self.skipped: int = known.get('skipped', 0)
        self._start: int = known.get('start', 0)
        self.windows = job.grid.touching(region)
        # Batches from which the run could go on: number of the first window
        # and how many windows before it were skipped.
        self._batches = deque([(self._start, self.skipped)])

    def __call__(self) -> int:
        """Make all rows that are missing.

        Returns:
            Windows of the region without a measured pixel.
        """
        self.tell(self._start)
        if self.done >= self.region.bottom:
            return self.skipped
        job, region = self.job, self.region
        self._first = self.windows.first_reaching(self.done)
        self._blender = StreamingBlender(
            job.grid, self.scorer.num_channels, job.blend,
            Region(self.done, region.bottom, region.left, region.right))
        source = job.source(self.windows)
        for batch in self._in_batches(source):
            for rows in self._add(batch):
                self._keep(rows)
            number, _ = self._batches[-1]
            self._batches.append((number + len(batch), self.skipped))
            self.tell(len(batch))
        for rows in self._blender.finish():
            self._keep(rows)
        job.partial.note(region, done=region.bottom, start=len(self.windows),
                         skipped=self.skipped)
        return self.skipped

    def _in_batches(self, source: Windows) -> Iterator[list[SourceWindow]]:
        """Windows in batches of ``batch_size`` pictures."""
        size = self.job.batch_size
        waiting: list[SourceWindow] = []
        pictures = 0
        for window in read_ahead(source, self._start, 2 * size + 2,
                                 self.job.reading_threads):
            waiting.append(window)
            pictures += window.image is not None
            # Windows without a picture wait too, for the order, but only as
            # long as one with a picture does, and not without limit.
            if pictures in (0, size) or len(waiting) > 4 * size:
                yield waiting
                waiting, pictures = [], 0
        if waiting:
            yield waiting

    def _add(self, batch: Sequence[SourceWindow]) -> Iterator[BlendedRows]:
        """Score a batch and blend it in."""
        pictures = [window for window in batch if window.image is not None]
        scores: Iterator[np.ndarray] = iter(())
        if pictures:
            scores = iter(self.scorer(
                [window.image for window in pictures
                 if window.image is not None],
                [window.valid for window in pictures]))
        first, _ = self._batches[-1]
        self.skipped += len(batch) - len(pictures)
        for number, window in enumerate(batch, first):
            score = None if window.image is None else next(scores)
            if number < self._first:
                continue  # lies above, but was of the same batch
            yield from self._blender.add(window.place, score, window.valid)

    def _keep(self, rows: BlendedRows) -> None:
        """Write finished rows, then say that they are."""
        encoded = self.job.outputs.encode(rows, self.scorer.segmentor)
        partial = self.job.partial
        # The grid may reach beyond the map.
        height = partial.height - rows.row
        width = partial.width - self.region.left
        for name, pixels in encoded.items():
            if height > 0 and width > 0:
                partial.write(name, rows.row, self.region.left,
                              pixels[:, :height, :width])
        self.done = rows.row + rows.valid.shape[0]
        needed = self.windows.first_reaching(self.done)
        while len(self._batches) > 1 and self._batches[1][0] <= needed:
            self._batches.popleft()
        start, skipped = self._batches[0]
        self.job.partial.note(self.region, done=self.done, start=start,
                              skipped=skipped)
