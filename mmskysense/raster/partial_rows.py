# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Rows of unfinished outputs, kept so that a killed run can go on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from .grid import Region

try:
    import fcntl
except ImportError:  # no such locks outside of Unix
    fcntl = None  # type: ignore[assignment]

_SETTINGS = 'settings.json'
_LOCK = 'lock'


class PartialRows:
    """Arrays on disk, and how far each region of them is.

    They lie in a hidden folder beside the output, ``.NAME.partial``, one
    plain file of bytes an output: rows that were written survive the death
    of the process, which a compressed file would not promise. Each region
    has a journal, replaced in one step after its rows were written.

    Args:
        path: The first output.
        bands: Name of each output -> its bands.
        height: Rows in pixels.
        width: Columns in pixels.
        settings: Everything that the pixels depend on.
        resume: Continue what is there; without it, it is thrown away.
        dtypes: Name of an output -> data type of its pixels, where that is
            not uint8.

    Attributes:
        resumed: Whether there was something to continue.

    Raises:
        ValueError: What is there was made with other settings, or another
            run is at it.
        OSError: The folder cannot be written, or has not the room.
    """

    def __init__(self, path: str | os.PathLike, bands: Mapping[str, int],
                 height: int, width: int, settings: Mapping[str, Any],
                 resume: bool = False,
                 dtypes: Mapping[str, str] | None = None) -> None:
        path = Path(path)
        self._lock: IO[str] | None = None
        self.path = path
        self.folder = path.with_name(f'.{path.name}.partial')
        self.bands = dict(bands)
        self.dtypes = {name: np.dtype((dtypes or {}).get(name, 'uint8'))
                       for name in bands}
        self.height, self.width = height, width
        self._files: dict[str, int] = {}
        self.settings = json.loads(json.dumps(dict(settings), default=str))
        try:
            self._take()
            known = _read(self.folder / _SETTINGS)
            self.resumed = resume and known is not None
            if self.resumed:
                assert known is not None
                self._check(known)
            else:
                self._create()
        except BaseException:
            self.close()
            raise

    def _take(self) -> None:
        """Make the folder, and keep others from it while this run lives."""
        place = self.folder / _LOCK
        while True:
            try:
                self.folder.mkdir(exist_ok=True)
                self._lock = open(  # noqa: SIM115 - held while this lives
                    place, 'a+', encoding='utf-8')
            except OSError as error:
                raise self._cannot(error) from error
            try:
                if fcntl is not None:
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._lock.seek(0)
                other = self._lock.read().strip() or 'unknown'
                raise ValueError(
                    f'{self.path}: expected to be the only run that writes '
                    f'it, found another one (process {other}); wait for it, '
                    'or choose another output') from error
            # The run before may have removed the folder meanwhile.
            if place.exists() and os.path.samestat(
                    os.fstat(self._lock.fileno()), place.stat()):
                break
            self._lock.close()
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _cannot(self, error: OSError) -> OSError:
        return OSError(f'{self.path}: cannot be written ({error}); check '
                       'free space and permissions')

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, which lie on the disk as they are."""
        return self.height * self.width * sum(
            count * self.dtypes[name].itemsize
            for name, count in self.bands.items())

    def _create(self) -> None:
        for entry in self.folder.iterdir():
            if entry.name != _LOCK:
                entry.unlink()
        free = shutil.disk_usage(self.folder).free
        if free < self.nbytes:
            self.discard()
            raise OSError(
                f'{self.path}: expected {self.nbytes / 2**30:.1f} GiB free '
                'for unfinished rows, which lie uncompressed beside the '
                f'output, found {free / 2**30:.1f} GiB; choose another disk')
        try:
            for name, count in self.bands.items():
                with open(self._file(name), 'wb') as file:
                    # Sparse: the disk fills as rows are written.
                    file.truncate(self.dtypes[name].itemsize * count *
                                  self.height * self.width)
            _write(self.folder / _SETTINGS, self.settings)
        except OSError as error:
            self.discard()
            raise self._cannot(error) from error

    def _check(self, known: Mapping[str, Any]) -> None:
        differing = [name for name in {*known, *self.settings}
                     if known.get(name) != self.settings.get(name)]
        if differing:
            name = sorted(differing)[0]
            raise ValueError(
                f'{self.folder}: expected an unfinished run with the same '
                f'settings to resume, found {name}={known.get(name)!r} where '
                f'this one has {self.settings.get(name)!r}; repeat the '
                'command of that run, or leave resume out to start anew')

    def _open(self, name: str) -> int:
        """The output's file, opened once in a process."""
        if name not in self._files:
            self._files[name] = os.open(self._file(name), os.O_RDWR)
        return self._files[name]

    def _file(self, name: str) -> Path:
        return self.folder / f'{name}.rows'

    def __getstate__(self) -> dict[str, Any]:
        # A process of its own opens the files anew.
        return dict(vars(self), _files={}, _lock=None)

    def write(self, name: str, row: int, left: int,
              rows: np.ndarray) -> None:
        """Keep finished rows of an output.

        Args:
            name: The output.
            row: First row in the raster.
            left: First column.
            rows: (bands, rows, columns), of the output's data type.

        Raises:
            OSError: The disk is full or gone.
        """
        file = self._open(name)
        rows = np.ascontiguousarray(rows, self.dtypes[name])
        size = rows.itemsize
        # Whole rows lie next to each other, parts of them do not.
        whole = rows.shape[2] == self.width
        try:
            for band, picture in enumerate(rows):
                first = (band * self.height + row) * self.width + left
                pieces = [picture] if whole else picture
                for number, piece in enumerate(pieces):
                    _write_bytes(file, piece,
                                 size * (first + number * self.width))
        except OSError as error:
            raise self._cannot(error) from error

    def read(self, name: str, row: int, count: int, left: int = 0,
             columns: int | None = None) -> np.ndarray:
        """A part of an output, (bands, rows, columns) of its data type.

        Args:
            name: The output.
            row: First row.
            count: Rows; fewer at the bottom.
            left: First column.
            columns: Columns, fewer at the right; None means all.
        """
        count = min(count, self.height - row)
        columns = min(columns or self.width, self.width - left)
        dtype = self.dtypes[name]
        result = np.empty((self.bands[name], count, columns), dtype)
        whole = columns == self.width
        for band, picture in enumerate(result):
            first = (band * self.height + row) * self.width + left
            pieces = [picture] if whole else picture
            for number, piece in enumerate(pieces):
                place = dtype.itemsize * (first + number * self.width)
                content = os.pread(self._open(name), piece.nbytes, place)
                piece.flat = np.frombuffer(content, dtype)
        return result

    def note(self, region: Region, topic: str = 'rows',
             **progress: Any) -> None:
        """Say how far a region is, after its rows were written.

        Args:
            region: Which one.
            topic: Of what is said; each has a file.
            **progress: What JSON can hold.
        """
        _write(self._journal(region, topic), progress)

    def progress(self, region: Region, topic: str = 'rows'
                 ) -> dict[str, Any]:
        """What was last noted of a region; empty at the start."""
        return _read(self._journal(region, topic)) or {}

    def _journal(self, region: Region, topic: str) -> Path:
        return self.folder / f'{topic}_{region.top}_{region.left}.json'

    def close(self) -> None:
        """Close the files; what was written stays."""
        for file in self._files.values():
            os.close(file)
        self._files = {}
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def discard(self) -> None:
        """Remove everything."""
        if self._lock is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.close()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return None


def _write_bytes(file: int, rows: np.ndarray, place: int) -> None:
    content = memoryview(rows).cast('B')
    while content:
        written = os.pwrite(file, content, place)
        content, place = content[written:], place + written


def _write(path: Path, content: Mapping[str, Any]) -> None:
    aside = path.with_name(path.name + '.part')
    aside.write_text(json.dumps(content))
    os.replace(aside, path)
