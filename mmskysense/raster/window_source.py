# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""The windows of a raster, read in order and ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .grid import GridWindow
from .reader import RasterReader


@dataclass(frozen=True)
class SourceWindow:
    """A window that was read.

    Args:
        place: Where it lies.
        image: float32 (C, height, width) in file units, or a
            :class:`SeriesPicture` of several sensors; None if nothing in it
            was measured.
        valid: bool (height, width), True where measured.
    """

    place: GridWindow
    image: Any
    valid: np.ndarray


class Windows(Protocol):
    """Windows by number."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> SourceWindow:
        """Read one."""


class WindowSource:
    """Windows of a raster by number.

    Args:
        reader: The raster.
        windows: Its windows.
        fill: Value per band of pixels that were not measured, or beyond the
            raster; empty means 0.
        reverse_channels: Give the bands in reverse order.
    """

    def __init__(self,
                 reader: RasterReader,
                 windows: Sequence[GridWindow],
                 fill: Sequence[float] = (),
                 reverse_channels: bool = False) -> None:
        self.reader, self.windows = reader, windows
        self.fill = tuple(fill) or (0.0, ) * len(reader.indexes)
        self.reverse_channels = reverse_channels

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> SourceWindow:
        place = self.windows[index]
        image, valid = self.reader.read(place.as_tuple())
        if not valid.any():
            return SourceWindow(place, None, valid)
        if not valid.all():
            for band, value in zip(image, self.fill, strict=True):
                band[~valid] = value
        if self.reverse_channels:
            image = np.ascontiguousarray(image[::-1])
        return SourceWindow(place, image, valid)

    def __iter__(self) -> Iterator[SourceWindow]:
        return (self[index] for index in range(len(self)))


def read_ahead(source: Windows,
               start: int = 0,
               depth: int = 8,
               threads: int = 1) -> Iterator[SourceWindow]:
    """Read windows in threads while earlier ones are worked on.

    GDAL reads and decodes without Python's lock. One thread keeps decoded
    blocks in one cache and reads each block once, which is best for files
    on a disk; several hide the answering time of a server.

    Args:
        source: Windows by number.
        start: Number of the first window.
        depth: At most so many windows are read and not yet asked for: what
            bounds the memory.
        threads: Reading threads; 0 reads when asked.

    Yields:
        The windows in order. An error comes where its window would have.

    Raises:
        ValueError: Depth below 1, or threads below 0.
    """
    if depth < 1 or threads < 0:
        raise ValueError(f'depth={depth}, threads={threads}: expected a depth '
                         'of 1 or more and 0 threads or more')
    if not threads:
        for index in range(start, len(source)):
            yield source[index]
        return
    waiting: deque[Future[SourceWindow]] = deque()
    with ThreadPoolExecutor(threads, 'read-ahead') as pool:
        try:
            for index in range(start, len(source)):
                waiting.append(pool.submit(source.__getitem__, index))
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Whoever stops early does not wait for what is left.
            for future in waiting:
                future.cancel()
